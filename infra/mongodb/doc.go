// Package mongodb keeps the metadata view, channels and memberships, in MongoDB.
//
// In goes a batch of records in one round trip, each written by an upsert that
// the record's sequence decides (see [Store.PutMembers]): they may come twice,
// late, in any order and from any number of writers, and the highest wins. A
// membership that ended stays as a tombstone, so that a stale join can't revive
// it. A batch is not one transaction; one that failed half-way is completed by
// writing it again. What was acknowledged is journalled on a majority of the
// replica set and survives the loss of any of its members.
//
// Reads go to the primary with read concern "local". The log's consumer
// acknowledges an event only after its write has reached the majority, so that a
// primary, old or new, has whatever the consumer's position promises; a record
// that is not there yet, or that a fail-over takes back before it was
// acknowledged, is still in the log's tail, which queries read as well. An old
// primary that is cut off may answer with an old page for up to the election
// timeout (10 s) until it steps down. Read preference and write concern of the
// connection string are therefore not used.
//
// Nothing is read without an index: hotQueries in queries.go lists every
// statement of a request or of a batch, indexes in schema.go what serves them, and
// the tests hold one against the other. Pages are keysets, so that the millionth
// page costs as much as the first, and a channel of 100,000 members as much as
// one of ten.
//
// Ids and texts are values, never names of fields, so that they may hold dots,
// dollar signs and whatever prints. They are ordered by their bytes. Times are
// kept to the millisecond, in UTC.
//
// Errors are of the kinds of package events: [events.ErrUnavailable] for a
// server that can't be reached, takes too long, has no primary or refuses the
// credentials, [events.ErrInvalid] for a record that can't be stored. Reads and
// writes are tried again by themselves until the call's timeout.
//
// Whoever opens a store closes it; all methods are safe for concurrent use.
package mongodb
