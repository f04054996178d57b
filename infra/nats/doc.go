// Package nats is the log: the platform's one source of truth, kept in NATS
// JetStream.
//
// What goes in are CloudEvents, one message each in binary mode, to the subject
// that the event names. What comes out are the same events with Sequence set to
// their place in the stream; the log's order is the order of every channel.
//
//   - Publish returns once the log has acknowledged, and not before. An event
//     whose id the log has seen within the de-duplication window is not stored
//     again: the acknowledgement is the original's, marked Duplicate. So every
//     publish may be repeated.
//   - Reads come from any replica, since that scales; whatever would say "there
//     is none" or "that was all" is asked of the stream's leader first.
//   - A message that is not a CloudEvent is an error to those who ask for it by
//     name (Last, BySequence), is handed out as such by a Consumer, and is
//     logged and passed over by Range, Tail and Follow.
//
// Errors carry a kind of package events: ErrUnavailable while the log cannot be
// reached (nothing is buffered on this side; try again), ErrConflict, ErrTooLarge,
// ErrNotFound, ErrInvalid.
//
// A Log is one connection and safe for concurrent use. Nothing that it does is
// bounded by the number of users or channels: it holds one subscription for
// acknowledgements and one for each reader.
package nats
