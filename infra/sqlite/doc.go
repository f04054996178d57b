// Package sqlite keeps the three views (messages, metadata, search) in SQLite:
// the embedded default, for one machine and with nothing to install. It is pure
// Go.
//
// Each view is a file of its own, opened by [OpenMessages], [OpenMetadata] or
// [OpenSearch], created where it is missing, and safe to open in several
// processes at once: one of them writes at a time, the others wait up to five
// seconds for their turn, and nobody waits to read. A file of another kind or of
// a newer version is refused.
//
// In goes a batch of records, in one transaction: all of them are there when the
// call returns, or none. They may come twice, late and in any order; the
// sequence decides (lowest for a message, highest for channels and members).
// What was acknowledged survives the death of the process; with [FullSync] also
// the death of the machine, which costs a disk flush for every call.
//
// Times are kept to the millisecond, in UTC. Errors are of the kinds of package
// events: [events.ErrUnavailable] for a file that is locked, full, unreadable or
// closed, [events.ErrInvalid] for a record that can't be stored.
//
// Whoever opens a store closes it; all methods are safe for concurrent use.
package sqlite
