// Package archiver moves what the log's streams need no longer into the archive.
//
// It copies both streams, MESSAGES and METADATA, into segments; a segment is
// ended when it has enough events or bytes, or when its first event is old
// enough. METADATA then stays as it is. MESSAGES is trimmed, at the borders of
// segments, up to where all of this holds:
//
//   - the segment has been read back from the archive and its checksums are right;
//   - every durable consumer had acknowledged everything in it by the round before,
//     and the consumers that Config names exist. So whoever asked where a view
//     stands finds what comes after in the stream, unless that takes as long as
//     from one round to the next: queries have no archive;
//   - it lies outside of what is to be kept: Config.KeepAge, KeepMessages and
//     KeepBytes each say what stays at least, and nothing stays for less than the
//     de-duplication window. With none of them set nothing is ever taken away;
//   - its subjects' last sequences are noted in the log.
//
// So nothing is deleted that is not in a verified segment. Where the archive
// and the stream do not meet (a hole, or a log that was set back), the archiver
// touches neither and says so at every round.
//
// A crash at any place does no harm: the next round finds by the listing how far
// segments reach. Nor do several archivers at once; they may write segments that
// overlap. When there is nothing to do, a round costs a few requests.
package archiver
