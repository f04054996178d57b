// Package cutoff refuses tokens before their end: those of users who were
// disabled, deleted or logged out, and of sessions that have ended.
//
// A [Set] follows the log's cut-offs and holds the ones that can still concern a
// token, in memory: about 100 bytes each, none longer than the longest life of a
// token, [MaxEntries] at most. It is complete before it judges: a check waits
// for that, and fails with [events.ErrUnavailable] where its time is over first.
// From then on a cut-off is known as soon as the log delivers it, milliseconds
// after it was stored.
//
// A process whose connection to the log is lost does not hear of cut-offs until
// it is back; then none is missing. Meanwhile nothing that needs the log works
// there anyway: commands, queries, new sessions and deliveries.
//
// A token must not live longer than Config.TokenMaxAge, or a cut-off would be
// forgotten before it: such tokens are refused.
package cutoff
