// Package identity watches the issuer of tokens and tells the log who is cut off:
// users who were disabled, deleted or logged out, sessions that have ended.
// Tokens are checked offline, so that otherwise they would be good until they
// expire; every front door follows what this writes (infra/cutoff).
//
// A [Watcher] asks the issuer a few times a second what happened since it asked
// last, and a little more, since an event may become visible after its time or
// the issuer's servers differ about it; once a minute, and at the start, five
// minutes more, for what comes of a long transaction. An event of the log has an id
// that follows from the issuer's event, so that what is read again is written once.
//
// Its position is the log itself: it starts from the youngest cut-off that is
// there. So it misses nothing across a restart, however long it was away (up to
// [LookBack], and as long as the issuer keeps its events), and any number of
// watchers may run at once: what one has written another finds known or, in the
// same moment, writes with the same id. Where the log has none yet it starts from
// what can still concern a token.
//
// While the issuer or the log cannot be reached it tries again, and catches up.
package identity
