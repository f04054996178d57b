package link

import "time"

// Verdict says what to do with a frame.
type Verdict byte

// Verdicts of a [Tracker].
const (
	Ignore  Verdict = iota // of another link: drop it
	Deliver                // the next one: deliver its events, then take over its positions
	Broken                 // attach again; what the frame brings will be read from the log
)

// Tracker is an instance's side of a link: it tells frames to deliver from others,
// and notices a hole or a silence. The zero Tracker ignores every frame. It is for
// one goroutine at a time.
type Tracker struct {
	id     ID
	number uint64
	heard  time.Time
	broken bool
}

// Track begins to follow the link of that id, just before its attach is sent.
func Track(id ID, now time.Time) Tracker { return Tracker{id: id, heard: now} }

// Link is the id of the link followed.
func (t *Tracker) Link() ID { return t.id }

// Take judges a frame that came in. Once it has said Broken it says so to every
// frame of the link. The events of a frame with Last set are to be delivered like
// any: Take says Deliver to it, and [Tracker.Over] is true from then on.
func (t *Tracker) Take(f Frame, now time.Time) Verdict {
	switch {
	case t.id == 0 || f.Link != t.id:
		return Ignore
	case t.broken || f.Number != t.number+1:
		t.broken = true
		return Broken
	}
	t.number, t.heard, t.broken = f.Number, now, f.Last
	return Deliver
}

// Over tells whether the link has ended: broken, ended by the fan-out, or silent
// for [SilenceAfter].
func (t *Tracker) Over(now time.Time) bool {
	return t.broken || now.Sub(t.heard) >= SilenceAfter
}
