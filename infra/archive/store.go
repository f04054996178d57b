package archive

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Store is where segments lie. Names have the form a/b/c.
type Store interface {
	// Put stores an object: it is there, whole and durable, once Put has
	// returned, or it is not there. An object of that name is replaced.
	Put(ctx context.Context, name string, data []byte) error
	// Get gives length bytes of an object from an offset on, all the rest if
	// length is negative; events.ErrNotFound where there is no such object.
	Get(ctx context.Context, name string, offset, length int64) ([]byte, error)
	// List calls f with every object below a prefix that ends with a slash, in
	// no certain order.
	List(ctx context.Context, prefix string, f func(name string, size int64) error) error
}

// Segment is one as the listing shows it.
type Segment struct {
	Name        string
	First, Last uint64
	Size        int64
}

const suffix = ".segment"

func folder(stream, id string) string { return stream + "/" + id + "/" }

// segmentName is a segment's place in the store.
func segmentName(stream, id string, first, last uint64) string {
	return fmt.Sprintf("%s%020d-%020d%s", folder(stream, id), first, last, suffix)
}

// parseName reads a name below a folder; ok is false for what is no segment.
func parseName(name, folder string) (s Segment, ok bool) {
	rest, found := strings.CutPrefix(name, folder)
	rest, is := strings.CutSuffix(rest, suffix)
	first, last, cut := strings.Cut(rest, "-")
	if !found || !is || !cut || len(first) != 20 || len(last) != 20 {
		return s, false
	}
	a, err := strconv.ParseUint(first, 10, 64)
	if err != nil {
		return s, false
	}
	b, err := strconv.ParseUint(last, 10, 64)
	if err != nil || a == 0 || b < a {
		return s, false
	}
	return Segment{Name: name, First: a, Last: b}, true
}
