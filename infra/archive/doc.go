// Package archive keeps what the log's streams hold no longer: as compressed,
// checksummed segments in an object store, which are read back as one with the
// stream.
//
// A segment says: this is everything that the stream held from sequence First
// to sequence Last. Its messages are in the stream's order, each as it was
// stored: sequence, time, subject, headers, data. Segments of one stream may
// overlap (two archivers at work); then they agree. Which segments there are is
// known by listing the store and by nothing else: a segment's name tells its
// stream, that stream's creation time, First and Last.
//
//   - A segment is put whole or not at all, and is never changed.
//   - Every block and the index carry a checksum that each read compares, the
//     segment as a whole a SHA-256 that Verify compares. What is damaged or
//     missing is an error that names it (ErrDamaged, ErrMissing) and is never
//     passed over.
//   - The index of a segment names the subjects in it, with the sequence of the
//     message before, so that "the last of this channel before n" needs few
//     segments.
//
// Format, version 1 (docs/adr/0017): magic, blocks, index, trailer. A block is
// one zstd frame of about a MiB of records, the index one of JSON. Integers in
// the trailer are little-endian.
package archive
