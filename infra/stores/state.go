package stores

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Lease is for how long what a process knows of a view's state counts. A change
// is known to all once that time has passed: whoever could not ask again by
// then does not use the view.
const Lease = 3 * time.Second

// Register keeps the states of views beside their log; *nats.Log is one.
type Register interface {
	Log
	// ReadView gives a view's record and its revision, which every change raises;
	// nil and 0 where there is none yet.
	ReadView(ctx context.Context, view string) (data []byte, revision uint64, err error)
	// WriteView replaces the record if it has that revision, else
	// events.ErrConflict, and gives the new revision.
	WriteView(ctx context.Context, view string, data []byte, revision uint64) (uint64, error)
}

// State is which generations a view has, and how far the rebuild is that makes
// the next one. A rebuild goes through it in this order, each time after all
// have learned of the step before:
//
//	Live 1                          1 is read and written
//	Live 1, Building 2              2 is written as well, and filled from the log
//	Live 2, Retiring 1              2 is read, both are written
//	Live 2, Dropping 1              1 is neither, and removed
type State struct {
	Live     int `json:"live"`
	Building int `json:"building,omitempty"`
	Retiring int `json:"retiring,omitempty"`
	Dropping int `json:"dropping,omitempty"`
	Last     int `json:"last,omitempty"` // the highest number that was ever given away: none is used twice

	Builder string `json:"builder,omitempty"` // who works on the rebuild; nobody if empty
	Beat    uint64 `json:"beat,omitempty"`    // goes up while it does
	Through uint64 `json:"through,omitempty"` // what Building lacks lies up to this sequence; later events are written to it by all. 0: not known yet
	Copied  uint64 `json:"copied,omitempty"`  // Building has all up to this sequence
}

// Written are the generations that a write goes to.
func (s State) Written() []int {
	w := []int{s.Live}
	for _, g := range []int{s.Building, s.Retiring} {
		if g != 0 {
			w = append(w, g)
		}
	}
	return w
}

// Uses tells whether a generation is read or written.
func (s State) Uses(generation int) bool { return slices.Contains(s.Written(), generation) }

// ReadState reads a view's state, and the revision to write the next one with.
func ReadState(ctx context.Context, r Register, view string) (State, uint64, error) {
	data, revision, err := r.ReadView(ctx, view)
	if err != nil || revision == 0 {
		return State{Live: 1}, revision, err
	}
	var s State
	if err := json.Unmarshal(data, &s); err != nil || s.Live < 1 {
		return State{}, 0, fmt.Errorf("state of view %s is %.100q: it names no live generation: %w", view, data, err)
	}
	return s, revision, nil
}

// WriteState replaces a view's state.
func WriteState(ctx context.Context, r Register, view string, s State, revision uint64) (uint64, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return 0, err
	}
	return r.WriteView(ctx, view, data, revision)
}
