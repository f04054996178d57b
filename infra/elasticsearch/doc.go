// Package elasticsearch keeps the search view in Elasticsearch 8.
//
// An index is called NAME-000001, NAME-000002, …; everybody reads and writes
// through the alias NAME, which points to exactly one of them. [Open] makes the
// index template (template.json), the first index and the alias where they are
// missing; any number of processes may do so at once. A later generation of the
// view has an alias, a template and indices of its own, NAME-g2-000001 say; a
// rebuild from the log fills it beside the live one. [Store.Outdated] tells when
// that is due.
//
// A document is a message as it is in the log, whole: the view's checksums equal
// those of the store of messages. Its words are the terms of package words, made
// here, so that this store finds what the embedded one finds; the server splits
// them at spaces and needs no plugin. A document's version is the greatest number
// minus the sequence: messages may come twice, late and in any order, from any
// number of writers, and the lowest sequence of a message id wins. A batch is not
// a transaction: a call that fails may have written a part, and is repeated.
//
// What a server refuses because it has too much to do (429, 502, 503, 504), and
// what does not reach it, is tried again a few times, by items where it refused
// only some of a batch. Then, and for a closed store, errors match
// [events.ErrUnavailable]; what can never be written is [events.ErrInvalid]. A
// request is bounded in bytes and in time.
//
// What was written can be searched when [Store.IndexMessages] returns, unless
// [Config].WaitVisible is off: then within the refresh interval, or after
// [Store.Refresh]. A query that takes what a writer has acknowledged for what is
// in the view needs it on.
//
// Whoever opens a store closes it; all methods are safe for concurrent use.
package elasticsearch
