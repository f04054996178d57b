package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
)

// Records reads a block's content.
var Records = records

// AppendRecords writes a block's content.
func AppendRecords(ms []Message) (b []byte) {
	before := epochStart
	for _, m := range ms {
		b = appendRecord(b, m, before)
		before = m
	}
	return b
}

// Seal makes a segment of any content and index, with checksums that fit.
func Seal(raw []byte, index []byte) []byte {
	out := encoder().EncodeAll(raw, []byte(magic))
	end := len(out)
	var ix Index
	if json.Unmarshal(index, &ix) == nil && len(ix.Blocks) == 1 { // lest all end at the first check
		b := &ix.Blocks[0]
		b.Offset, b.Length, b.Raw, b.CRC = int64(len(magic)), int64(end-len(magic)), int64(len(raw)), crc32.Checksum(out[len(magic):], castagnoli)
		index, _ = json.Marshal(ix)
	}
	out = encoder().EncodeAll(index, out)
	sum := crc32.Checksum(out[end:], castagnoli)
	out = binary.LittleEndian.AppendUint64(out, uint64(end))
	out = binary.LittleEndian.AppendUint64(out, uint64(len(out)-8-end))
	out = binary.LittleEndian.AppendUint32(out, sum)
	all := sha256.Sum256(out)
	return append(append(out, all[:]...), magic...)
}
