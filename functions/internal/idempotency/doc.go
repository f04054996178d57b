// Package idempotency keeps the promise that a send is idempotent for good: the
// same client id from the same author in the same channel is one message, after
// a second or after a day.
//
// Two things find the original of a message that is sent again:
//
//   - The log's de-duplication. It knows the ids of all events that were stored
//     during the last window W (two minutes), to the event, and costs nothing.
//   - The message view, for all that is older. It costs a look-up.
//
// So a client id goes straight to the log only if no event of that id can have
// been stored before the window ([Originals.Fresh]). What says so is the time t
// in a UUID of version 7, with allowances: clients' clocks may be ahead by up to
// A, the clocks of our own servers differ by less than M, and from the decision
// to the publish no more than M may pass ([Originals.Within]). A client id whose
// time is further ahead than A is refused, not looked up: accepted, it would be
// stored long before t, and be taken for fresh when it is sent again around t,
// with W passed since. With that refused, an original is stored at t-A-M at the
// earliest, so the log knows it until t-A-M+W, and an id is fresh while
// now+2M < t-A-M+W, that is, while its age is below W-A-3M. With W = 2 min:
// A = 1 min, M = 6 s, fresh up to 42 s.
//
// A look-up ([Originals.Find]) has to be complete for everything stored before
// the window. It asks the view's consumer how far the view is (position P) first
// and then reads the view. The view then holds everything up to P. What comes
// after P is harmless if the first event after P is younger than W-3M, for then
// the log's de-duplication knows them all. Otherwise the view is behind, and the
// channel's own tail of the log after P is read in its stead, if it is not too
// long; if it is, the answer is "unavailable, try again". A rebuild
// fills another generation of the view and never empties the live one; whoever
// does empty it has to reset the consumer's position before. That shows too, for
// the position is asked for again after the view was read, and the lower one
// counts.
package idempotency
