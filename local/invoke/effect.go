package invoke

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/local/views"
)

// printPublished shows what the log holds beyond what was given.
func (s *stage) printPublished(ctx context.Context) error {
	n := 0
	for _, stream := range streams {
		last, err := s.log.LastSequence(ctx, stream)
		if err != nil {
			return err
		}
		if last <= s.before[stream] {
			continue
		}
		err = s.log.Range(ctx, stream, nil, s.before[stream]+1, last, func(e events.Event) error {
			n++
			return s.printEvent(stream, e)
		})
		if err != nil {
			return err
		}
	}
	if n == 0 && s.kind != writer {
		fmt.Fprintln(s.out, "\npublished: nothing")
	}
	return nil
}

// printEvent writes an event at once, so that those of several streams do not
// mix.
func (s *stage) printEvent(stream string, e events.Event) error {
	b, err := e.AppendJSON(nil)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "\npublished to %s (%s), sequence %d:\n%s\n", e.Subject, stream, e.Sequence, pretty(b))
	return err
}

// printStored shows what a writer's view holds.
func (s *stage) printStored(ctx context.Context) (err error) {
	at := slices.IndexFunc(views.All(), func(v views.View) bool { return v.Writer == s.function })
	if at < 0 {
		return nil
	}
	v := views.All()[at]
	store, _, err := v.Open(ctx, s.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	sums, err := store.Checksums(ctx, stores.All)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nstored in %s (count:sum of records by channel):", v.File)
	if len(sums) == 0 {
		b.WriteString(" nothing")
	}
	for _, c := range slices.Sorted(maps.Keys(sums)) {
		fmt.Fprintf(&b, "\n  %s %s", c, sums[c])
	}
	_, err = fmt.Fprintln(s.out, b.String())
	return err
}

// pretty is JSON for people, or the bytes as they are.
func pretty(b []byte) string {
	var p bytes.Buffer
	if json.Indent(&p, bytes.TrimSpace(b), "", "  ") != nil {
		return strings.TrimSpace(string(b))
	}
	return p.String()
}
