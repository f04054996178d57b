// Package cassandra keeps the messages view in Apache Cassandra (4.1 or later).
//
// In go batches of messages, twice, late and in any order, from any number of
// writers; once PutMessages returns they are there for everybody. Out come pages
// of a channel in the order of the log, and messages by id. For one message id
// the lowest sequence wins, whatever the order in which its duplicates come.
//
// # Where a message lies
//
// Partitions of the table messages are (channel, level, bucket), with the
// sequence as clustering key. A bucket of level 0 spans 2^14 sequences, one of
// level 1 2^22, of level 2 2^30, and level 3 has one bucket for all. A message
// goes to the highest level whose bucket has not been declared full, which
// happens at 16,384 rows, by the writer who notices. So
//
//   - a channel's first 16,384 messages are one partition, however far apart:
//     a quiet channel on a busy platform is read in one query;
//   - a giant channel's partitions have some 16,384 rows each;
//   - where a level's bucket is full, those one level below have 64 rows on
//     average. A page never reads buckets without messages: table
//     channel_buckets lists those that have some.
//
// Reading merges the levels, at most one query each for most pages, and only
// the first where the channel never grew beyond it. It depends on nothing that
// a writer remembers: which level was chosen matters to the sizes only. Sizes
// are counted now and then, not exactly: each writer may add 2,048 rows, and what
// it has under way, before it counts again; messages that come late are put
// where they would have been in time.
//
// # Who wins, without a transaction
//
// Each write adds the message's place (sequence, level) to the set of all places
// of its id, in table message_ids, and then reads that set; both at a quorum.
// Of two writers of the same id at least the later one sees both places. Only
// the lowest sequence's row is written, and whoever sees more than one place
// marks the rows of all others, which hides them for good: a mark is a column of
// its own that nothing unsets, so that a row that arrives after its mark is
// hidden as well. One place twice, on two levels, happens where writers differ
// on what is full: the copy is marked as such, and readers take one of both.
//
// So that repeated and reordered writes end alike, every write carries a
// timestamp that follows from the sequence: its own for rows; 2^62 minus the
// sequence for where a bucket is full, so that the lowest wins. Nothing is ever
// deleted but by [Store.Reset], which truncates: no tombstones are read, and a
// rebuild may write the same timestamps again.
//
// # Consistency
//
// Reads and writes use Config.Consistency, LOCAL_QUORUM unless told otherwise.
// Quorums are needed for "whoever is later sees both": ONE is for a single node,
// and writers in several data centers need QUORUM. Statements are prepared,
// idempotent, routed to a replica by token, retried on another node; batches are
// unlogged and of one partition. Reads are sent to a second node when the first
// is slow, provided that there are several.
//
// Errors are of the kinds of package events: events.ErrUnavailable for whatever
// has to do with nodes and time, events.ErrInvalid and events.ErrTooLarge for a
// message that cannot be stored. Whoever opens a Store closes it; all methods
// are safe for concurrent use.
package cassandra
