package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/chat-platform/chat/events"
)

// magic begins and ends a segment; its last byte is the format's version.
const magic = "CHATSEG\x01"

// blockBytes is how much goes into one block, before compression. A message is
// never divided, so a block may be longer by one.
const blockBytes = 1 << 20

// Bounds of what a reader takes in, so that a damaged length cannot fill the
// memory.
const (
	blockMost = 256 << 20
	indexMost = 512 << 20
)

// trailer: offset and length of the index, its CRC, the SHA-256 of all before
// the sum, magic.
const trailerSize = 8 + 8 + 4 + sha256.Size + len(magic)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Index says what is in a segment.
type Index struct {
	Stream   string             `json:"stream"`
	ID       string             `json:"id"`    // of the stream: when it was created
	First    uint64             `json:"first"` // the segment has all that the stream held from here
	Last     uint64             `json:"last"`  // to here
	Count    uint64             `json:"count"`
	Bytes    uint64             `json:"bytes"`  // about what the messages took in the stream
	Oldest   time.Time          `json:"oldest"` // time of the first message
	Newest   time.Time          `json:"newest"` // and of the last
	Blocks   []Block            `json:"blocks"`
	Subjects map[string]Subject `json:"subjects"`
}

// Block is a part of a segment that is compressed by itself.
type Block struct {
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
	Raw    int64  `json:"raw"`
	CRC    uint32 `json:"crc"` // CRC-32C of the compressed bytes
	First  uint64 `json:"first"`
	Last   uint64 `json:"last"`
	Count  uint64 `json:"count"`
}

// Subject is what a segment has of a subject.
type Subject struct {
	First uint64 `json:"f"`
	Last  uint64 `json:"l"`
	Prev  uint64 `json:"p,omitempty"` // the subject's last message before the segment, 0 if there was none
}

var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		panic(err) // constant options
	}
	return e
})

var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(indexMost))
	if err != nil {
		panic(err) // constant options
	}
	return d
})

// Builder makes a segment in memory. Not safe for concurrent use.
type Builder struct {
	index  Index
	out    []byte
	raw    []byte
	before Message
	block  Block
}

// NewBuilder begins a segment of a stream at sequence first.
func NewBuilder(stream, id string, first uint64) *Builder {
	return &Builder{index: Index{Stream: stream, ID: id, First: first, Subjects: map[string]Subject{}}, out: []byte(magic), before: epochStart}
}

// Add adds the stream's next message.
func (b *Builder) Add(m Message) error {
	if m.Sequence < b.index.First || m.Sequence <= b.index.Last {
		return events.Invalid("invalid_segment", "", "message %d of %s does not follow %d", m.Sequence, b.index.Stream, max(b.index.Last, b.index.First-1))
	}
	if b.block.Count == 0 {
		b.block.First = m.Sequence
		b.before = epochStart
	}
	b.raw = appendRecord(b.raw, m, b.before)
	b.before = m
	b.block.Last = m.Sequence
	b.block.Count++
	if b.index.Count == 0 {
		b.index.Oldest = m.Time.UTC()
	}
	b.index.Newest = m.Time.UTC()
	b.index.Last = m.Sequence
	b.index.Count++
	b.index.Bytes += uint64(m.size())
	s, ok := b.index.Subjects[m.Subject]
	if !ok {
		s.First = m.Sequence
	}
	s.Last = m.Sequence
	b.index.Subjects[m.Subject] = s
	if len(b.raw) >= blockBytes {
		b.flush()
	}
	return nil
}

// Index is what has been added so far.
func (b *Builder) Index() Index { return b.index }

func (b *Builder) flush() {
	if b.block.Count == 0 {
		return
	}
	start := len(b.out)
	b.out = encoder().EncodeAll(b.raw, b.out)
	b.block.Offset, b.block.Length, b.block.Raw = int64(start), int64(len(b.out)-start), int64(len(b.raw))
	b.block.CRC = crc32.Checksum(b.out[start:], castagnoli)
	b.index.Blocks = append(b.index.Blocks, b.block)
	b.block, b.raw = Block{}, b.raw[:0]
}

// Finish ends the segment at sequence last, up to which the stream held nothing
// else. prev names for each subject its last message before the segment, where
// it has one.
func (b *Builder) Finish(last uint64, prev map[string]uint64) ([]byte, Index, error) {
	b.flush()
	ix := b.index
	if last < ix.Last || last < ix.First {
		return nil, ix, events.Invalid("invalid_segment", "", "a segment of %s from %d to %d cannot end at %d", ix.Stream, ix.First, ix.Last, last)
	}
	ix.Last = last
	for name, s := range ix.Subjects {
		s.Prev = prev[name]
		ix.Subjects[name] = s
	}
	if err := ix.check(int64(len(b.out))); err != nil {
		return nil, ix, err
	}
	j, err := json.Marshal(ix)
	if err != nil {
		return nil, ix, err
	}
	start := len(b.out)
	out := encoder().EncodeAll(j, b.out)
	sum := crc32.Checksum(out[start:], castagnoli)
	length := uint64(len(out) - start)
	out = binary.LittleEndian.AppendUint64(out, uint64(start))
	out = binary.LittleEndian.AppendUint64(out, length)
	out = binary.LittleEndian.AppendUint32(out, sum)
	all := sha256.Sum256(out)
	out = append(out, all[:]...)
	return append(out, magic...), ix, nil
}

// check tells whether an index can be that of blocks that end at the given
// offset.
func (ix Index) check(end int64) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: index: %s", ErrDamaged, fmt.Sprintf(format, args...))
	}
	if ix.Stream == "" || ix.ID == "" || ix.First == 0 || ix.Last < ix.First {
		return bad("it describes %s %q from %d to %d", ix.Stream, ix.ID, ix.First, ix.Last)
	}
	at, next, count := int64(len(magic)), ix.First, uint64(0)
	for i, b := range ix.Blocks {
		if b.Offset != at || b.Length <= 0 || b.Length > end-at || b.Raw <= 0 || b.Raw > blockMost ||
			b.First < next || b.Last < b.First || b.Last > ix.Last || b.Count == 0 || b.Count > b.Last-b.First+1 {
			return bad("block %d cannot be", i)
		}
		at, next, count = at+b.Length, b.Last+1, count+b.Count
	}
	if at != end || count != ix.Count {
		return bad("its blocks hold %d messages and end at %d, expected %d and %d", count, at, ix.Count, end)
	}
	for name, s := range ix.Subjects {
		if s.First < ix.First || s.Last < s.First || s.Last > ix.Last || s.Prev >= ix.First {
			return bad("subject %q cannot be", name)
		}
	}
	return nil
}

// trailer is where the index lies.
type trailer struct {
	offset, length int64
	crc            uint32
	sum            [sha256.Size]byte
}

// parseTrailer reads the last bytes of a segment of the given size.
func parseTrailer(b []byte, size int64) (trailer, error) {
	var t trailer
	if len(b) != trailerSize || string(b[trailerSize-len(magic):]) != magic {
		return t, fmt.Errorf("%w: it does not end like a segment of version 1", ErrDamaged)
	}
	offset, length := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	t.crc = binary.LittleEndian.Uint32(b[16:])
	copy(t.sum[:], b[20:])
	if end := uint64(size - int64(trailerSize)); offset < uint64(len(magic)) || offset > end || length != end-offset {
		return t, fmt.Errorf("%w: its trailer names an index at %d of %d bytes", ErrDamaged, offset, length)
	}
	t.offset, t.length = int64(offset), int64(length)
	return t, nil
}

// parseIndex reads the index of a segment.
func parseIndex(b []byte, t trailer) (Index, error) {
	var ix Index
	if int64(len(b)) != t.length || crc32.Checksum(b, castagnoli) != t.crc {
		return ix, fmt.Errorf("%w: the index's checksum differs", ErrDamaged)
	}
	j, err := decoder().DecodeAll(b, nil)
	if err == nil {
		err = json.Unmarshal(j, &ix)
	}
	if err != nil {
		return ix, fmt.Errorf("%w: index: %w", ErrDamaged, err)
	}
	return ix, ix.check(t.offset)
}

// read calls f with the messages of a block.
func (b Block) read(compressed []byte, f func(Message) error) error {
	if int64(len(compressed)) != b.Length || crc32.Checksum(compressed, castagnoli) != b.CRC {
		return fmt.Errorf("%w: the checksum of messages %d to %d differs", ErrDamaged, b.First, b.Last)
	}
	raw, err := decoder().DecodeAll(compressed, make([]byte, 0, b.Raw))
	if err != nil {
		return fmt.Errorf("%w: messages %d to %d: %w", ErrDamaged, b.First, b.Last, err)
	}
	if int64(len(raw)) != b.Raw {
		return fmt.Errorf("%w: messages %d to %d have %d bytes, expected %d", ErrDamaged, b.First, b.Last, len(raw), b.Raw)
	}
	count, last := uint64(0), uint64(0)
	err = records(raw, func(m Message) error {
		if count == 0 && m.Sequence != b.First {
			return fmt.Errorf("%w: message %d stands where %d should", ErrDamaged, m.Sequence, b.First)
		}
		count, last = count+1, m.Sequence
		return f(m)
	})
	if err == nil && (count != b.Count || last != b.Last) {
		err = fmt.Errorf("%w: %d messages up to %d, expected %d up to %d", ErrDamaged, count, last, b.Count, b.Last)
	}
	return err
}

// Parse reads a whole segment, compares all checksums, and calls f (which may be
// nil) with its messages.
func Parse(b []byte, f func(Message) error) (Index, error) {
	if len(b) < len(magic)+trailerSize || !bytes.HasPrefix(b, []byte(magic)) {
		return Index{}, fmt.Errorf("%w: it does not begin like a segment of version 1", ErrDamaged)
	}
	t, err := parseTrailer(b[len(b)-trailerSize:], int64(len(b)))
	if err != nil {
		return Index{}, err
	}
	if sha256.Sum256(b[:len(b)-len(magic)-sha256.Size]) != t.sum {
		return Index{}, fmt.Errorf("%w: its SHA-256 differs", ErrDamaged)
	}
	ix, err := parseIndex(b[t.offset:t.offset+t.length], t)
	if err != nil {
		return Index{}, err
	}
	for _, block := range ix.Blocks {
		err := block.read(b[block.Offset:block.Offset+block.Length], func(m Message) error {
			if s, ok := ix.Subjects[m.Subject]; !ok || m.Sequence < s.First || m.Sequence > s.Last {
				return fmt.Errorf("%w: the index does not know message %d of %s", ErrDamaged, m.Sequence, m.Subject)
			}
			if f == nil {
				return nil
			}
			return f(m)
		})
		if err != nil {
			return ix, err
		}
	}
	return ix, nil
}
