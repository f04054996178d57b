package views

import (
	"context"
	"errors"
	"hash/maphash"
	"time"

	"github.com/chat-platform/chat/events"
)

// MaxExpected is how many records can be expected: some 50 bytes of memory each.
const MaxExpected = 20_000_000

// ErrTooMany is the error of an expectation of more records than MaxExpected.
var ErrTooMany = errors.New("too many records to expect")

// Expected sums what a view has to hold after some events, from the events
// alone: they go through the writer, but into sums instead of a store. Records are
// known by a hash of 64 bits; that two of ten million have the same one happens
// once in 400,000 times, and then shows as a difference.
type Expected struct {
	seed  maphash.Seed
	write Write

	seen   map[uint64]struct{}                  // messages
	states map[uint64]state                     // channels and memberships
	sums   map[events.ChannelID]events.Checksum // of messages
}

type state struct {
	seq     uint64
	channel events.ChannelID
	sum     events.Checksum
}

// Expect begins to sum for a view.
func (v View) Expect() *Expected {
	e := &Expected{seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}, states: map[uint64]state{}, sums: map[events.ChannelID]events.Checksum{}}
	e.write = v.writer(e)
	return e
}

// Add counts events, which come in the log's order, and tells how many of them
// the writer refuses.
func (e *Expected) Add(ctx context.Context, batch []events.Event) (refused int, err error) {
	if len(e.seen)+len(e.states) > MaxExpected {
		return 0, ErrTooMany
	}
	return Apply(ctx, e.write, batch)
}

// Sums gives the checksums of the view, by channel.
func (e *Expected) Sums() map[events.ChannelID]events.Checksum {
	all := make(map[events.ChannelID]events.Checksum, len(e.sums))
	for c, sum := range e.sums {
		all[c] = sum
	}
	for _, s := range e.states {
		sum := all[s.channel]
		sum.Merge(s.sum)
		all[s.channel] = sum
	}
	return all
}

// PutMessages is a store's; of a message id the first one counts.
func (e *Expected) PutMessages(_ context.Context, ms []events.Message) error {
	for _, m := range ms {
		id := maphash.String(e.seed, string(m.ID))
		if _, ok := e.seen[id]; ok {
			continue
		}
		e.seen[id] = struct{}{}
		m.SentAt = kept(m.SentAt)
		sum := e.sums[m.ChannelID]
		if err := sum.Add(m); err != nil {
			return err
		}
		e.sums[m.ChannelID] = sum
	}
	return nil
}

// IndexMessages is a store's.
func (e *Expected) IndexMessages(ctx context.Context, ms []events.Message) error {
	return e.PutMessages(ctx, ms)
}

// PutChannels is a store's; the last state counts.
func (e *Expected) PutChannels(_ context.Context, cs []events.Channel) error {
	for _, c := range cs {
		c.CreatedAt = kept(c.CreatedAt)
		if err := e.put(string(c.ID), c.Seq, c.ID, c); err != nil {
			return err
		}
	}
	return nil
}

// PutMembers is a store's; the last state counts.
func (e *Expected) PutMembers(_ context.Context, ms []events.Member) error {
	for _, m := range ms {
		m.At = kept(m.At)
		if err := e.put(string(m.ChannelID)+"\x00"+string(m.UserID), m.Seq, m.ChannelID, m); err != nil {
			return err
		}
	}
	return nil
}

func (e *Expected) put(key string, seq uint64, channel events.ChannelID, record any) error {
	id := maphash.String(e.seed, key)
	if old, ok := e.states[id]; ok && old.seq > seq {
		return nil
	}
	s := state{seq: seq, channel: channel}
	if err := s.sum.Add(record); err != nil {
		return err
	}
	e.states[id] = s
	return nil
}

// kept is a time as stores keep it.
func kept(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }

// Ping is a store's.
func (e *Expected) Ping(context.Context) error { return nil }
