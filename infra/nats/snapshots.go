package nats

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/chat-platform/chat/events"
)

// streamSnapshots holds what processes have worked out of the log, so that the
// next one need not read it from its beginning: the last snapshot of each name, in
// parts. It is no part of the log, and may be lost at any time.
const (
	streamSnapshots   = "SNAPSHOTS"
	snapshotsSubjects = "snapshots.*.*"
	snapshotPart      = 512 << 10 // bytes
	snapshotParts     = 1000      // of one snapshot, what one request names
	snapshotHeader    = "Snapshot"
)

func snapshotSubject(name string, part int) string {
	return "snapshots." + events.Token(name) + "." + strconv.Itoa(part)
}

// snapshotID names one writing of a snapshot, and says how many parts it has.
func snapshotID(h nats.Header) (id string, parts int) {
	id = h.Get(snapshotHeader)
	_, n, _ := strings.Cut(id, ".")
	if parts, err := strconv.Atoi(n); err == nil && parts > 0 && parts <= snapshotParts {
		return id, parts
	}
	return "", 0
}

// WriteSnapshot keeps data under a name, in place of what was there. It takes
// one publish for each 512 KiB. Of several writers at once one wins, or none:
// then there is no snapshot of that name until somebody writes one again.
func (l *Log) WriteSnapshot(ctx context.Context, name string, data []byte) error {
	if name == "" {
		return events.Invalid("invalid_snapshot", "name", "a snapshot needs a name")
	}
	parts := max(1, (len(data)+snapshotPart-1)/snapshotPart)
	if parts > snapshotParts {
		return fmt.Errorf("%w: snapshot %s has %d bytes", events.ErrTooLarge, name, len(data))
	}
	id := nuid.Next() + "." + strconv.Itoa(parts)
	for n := range parts {
		part := data[n*snapshotPart : min(len(data), (n+1)*snapshotPart)]
		m := &nats.Msg{Subject: snapshotSubject(name, n), Data: part, Header: nats.Header{snapshotHeader: {id}}}
		if _, err := l.publishMsg(ctx, m); err != nil {
			return fmt.Errorf("write snapshot %s: %w", name, translate(err))
		}
	}
	return nil
}

// ReadSnapshot gives what was last written under the name, from any replica, or
// nil where there is nothing, or nothing whole. It takes two requests.
func (l *Log) ReadSnapshot(ctx context.Context, name string) ([]byte, error) {
	if name == "" {
		return nil, events.Invalid("invalid_snapshot", "name", "a snapshot needs a name")
	}
	first, ok, err := l.direct(ctx, "$JS.API.DIRECT.GET."+streamSnapshots+"."+snapshotSubject(name, 0), nil)
	if err != nil {
		return nil, fmt.Errorf("read snapshot %s: %w", name, err)
	}
	id, parts := snapshotID(first.header)
	if !ok || parts == 0 {
		return nil, nil
	}
	if parts == 1 {
		return first.data, nil
	}
	data := append(make([]byte, 0, parts*snapshotPart), first.data...)
	subjects := make([]string, parts-1)
	for n := range subjects {
		subjects[n] = snapshotSubject(name, n+1)
	}
	b, err := l.newBatcher(streamSnapshots, parts)
	if err != nil {
		return nil, fmt.Errorf("read snapshot %s: %w", name, translate(err))
	}
	defer b.close()
	next, whole := 1, true
	err = b.multi(ctx, getRequest{MultiLast: subjects}, func(s stored) error {
		if other, _ := snapshotID(s.header); other != id || s.subject != snapshotSubject(name, next) {
			whole = false // another writing: they were stored in their order
		}
		next++
		data = append(data, s.data...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read snapshot %s: %w", name, err)
	}
	if !whole || next != parts {
		return nil, nil
	}
	return data, nil
}
