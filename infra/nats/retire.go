package nats

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/chat-platform/chat/events"
)

// StreamState is what a stream holds now.
type StreamState struct {
	ID          string // tells streams of the same name apart
	First, Last uint64 // sequences; First is Last+1 where it holds nothing
	Messages    uint64
	Bytes       uint64
}

// State tells what a stream holds.
func (l *Log) State(ctx context.Context, stream string) (StreamState, error) {
	info, err := l.streamInfo(ctx, stream)
	if err != nil {
		return StreamState{}, fmt.Errorf("state of %s: %w", stream, err)
	}
	s := info.State
	return StreamState{streamID(info), max(s.FirstSeq, 1), s.LastSeq, s.Msgs, s.Bytes}, nil
}

// KeepID writes a stream's id into its settings, where backups have it. Open
// does so when it makes the stream; in one that was made otherwise it has to be
// there before anything is archived. Again does no harm and changes nothing.
func (l *Log) KeepID(ctx context.Context, stream string) error {
	info, err := l.streamInfo(ctx, stream)
	if err == nil && info.Config.Metadata[archiveKey] == "" {
		cfg := info.Config
		cfg.Metadata = maps.Clone(cfg.Metadata)
		if cfg.Metadata == nil {
			cfg.Metadata = map[string]string{}
		}
		cfg.Metadata[archiveKey] = streamID(info)
		_, err = l.js.UpdateStream(ctx, cfg)
	}
	if err != nil {
		return fmt.Errorf("id of %s: %w", stream, translate(err))
	}
	return nil
}

// FirstSequence is the sequence of the oldest event that the stream itself has;
// everything before it is in the archive.
func (l *Log) FirstSequence(ctx context.Context, stream string) (uint64, error) {
	s, err := l.State(ctx, stream)
	return s.First, err
}

// Settled is the sequence up to which every durable consumer of a stream has
// acknowledged everything, and who is behind most. The consumers in required
// must be there, with all partitions, else it is 0: one that was deleted begins
// anew at the first event.
func (l *Log) Settled(ctx context.Context, stream string, required ...string) (upTo uint64, behind string, err error) {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	info, err := l.streamInfo(ctx, stream)
	var p Partitions
	if err == nil {
		p, err = partitionsOf(info.Config)
	}
	if err != nil {
		return 0, "", fmt.Errorf("last sequence of %s: %w", stream, err)
	}
	upTo = info.State.LastSeq
	st, err := l.js.Stream(ctx, stream)
	if err != nil {
		return 0, "", fmt.Errorf("consumers of %s: %w", stream, translate(err))
	}
	there := map[string]bool{}
	lister := st.ListConsumers(ctx)
	for info := range lister.Info() {
		if info.Config.Durable != "" {
			there[info.Name] = true
		}
	}
	if err := lister.Err(); err != nil {
		return 0, "", fmt.Errorf("consumers of %s: %w", stream, translate(err))
	}
	for _, name := range required {
		for _, d := range durables(name, nil, p.Most) {
			if !there[d.name] {
				return 0, d.name, nil
			}
		}
	}
	for name := range there {
		applied, err := l.appliedBy(ctx, info, durable{name: name, number: -1})
		if err != nil {
			return 0, "", fmt.Errorf("applied by %s of %s: %w", name, stream, err)
		}
		if applied = max(applied, letGo(info)); applied < upTo {
			upTo, behind = applied, name
		}
	}
	return upTo, behind, nil
}

// added tells whether a header is the direct get's, not the message's.
func added(name string) bool {
	switch name {
	case jetstream.StreamHeader, jetstream.SubjectHeader, jetstream.SequenceHeader, jetstream.TimeStampHeaer, "Nats-Num-Pending", "Nats-Last-Sequence", "Nats-UpTo-Sequence":
		return true
	}
	return false
}

// Copy calls f with the messages of a stream in [from, to] as they are stored,
// CloudEvents or not. Where the stream has none at from any more it fails with
// ErrArchived.
func (l *Log) Copy(ctx context.Context, stream string, from, to uint64, f func(seq uint64, at time.Time, subject string, header map[string][]string, data []byte) error) error {
	from = max(from, 1)
	err := l.rangeStored(ctx, stream, "", from, to, rangeBatch, 0, func(s stored) error {
		at, err := time.Parse(time.RFC3339Nano, s.header.Get(jetstream.TimeStampHeaer))
		if err != nil {
			return fmt.Errorf("message %d: time: %w", s.seq, err)
		}
		var h map[string][]string
		for k, v := range s.header {
			if !added(k) {
				if h == nil {
					h = make(map[string][]string, len(s.header))
				}
				h[k] = v
			}
		}
		return f(s.seq, at, s.subject, h, s.data)
	})
	var t *trimmed
	if errors.As(err, &t) {
		err = fmt.Errorf("%w: %w", ErrArchived, err)
	}
	if err != nil {
		return fmt.Errorf("copy %d to %d of %s: %w", from, to, stream, err)
	}
	return nil
}

// NoteArchived records, before Trim takes them away, the last sequences of
// subjects in a part of a stream, and that with it everything up to upTo is
// recorded. Older notes never replace newer
// ones, so any number of processes may note, and any note may be repeated.
func (l *Log) NoteArchived(ctx context.Context, stream, id string, last map[string]uint64, upTo uint64) error {
	entries := make(map[string]uint64, len(last))
	for s, seq := range last {
		entries[archivedSubject(s)] = seq
	}
	err := l.noteAll(ctx, entries, id)
	if err == nil {
		err = l.noteAll(ctx, map[string]uint64{archivedSubject(stream): upTo}, id)
	}
	if err != nil {
		return fmt.Errorf("note that %s is archived to %d: %w", stream, upTo, err)
	}
	return nil
}

// Noted is how far NoteArchived has recorded a stream; 0 if not at all.
func (l *Log) Noted(ctx context.Context, stream, id string) (uint64, error) {
	known, err := l.lastGone(ctx, []string{archivedSubject(stream)})
	if g := known[archivedSubject(stream)]; err != nil || g.id == id {
		return g.seq, err
	}
	return 0, nil
}

// noteAll stores entries where they are higher than what is there.
func (l *Log) noteAll(ctx context.Context, entries map[string]uint64, id string) error {
	for len(entries) > 0 {
		subjects := make([]string, 0, len(entries))
		for s := range entries {
			subjects = append(subjects, s)
		}
		known, err := l.lastGone(ctx, subjects)
		if err != nil {
			return err
		}
		var waits []*publish
		var sent []string
		settle := func() error {
			for i, w := range waits {
				_, err := l.pub.wait(ctx, w)
				if err != nil && !errors.Is(translate(err), events.ErrConflict) { // a conflict is looked at once more
					return translate(err)
				}
				if err == nil {
					delete(entries, sent[i])
				}
			}
			waits, sent = waits[:0], sent[:0]
			return nil
		}
		for _, s := range subjects {
			g := known[s]
			if g.id == id && g.seq >= entries[s] {
				delete(entries, s)
				continue
			}
			m := nats.NewMsg(s)
			m.Data = fmt.Appendf(nil, "%d %s", entries[s], id)
			m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(g.revision, 10))
			w, err := l.pub.send(m)
			if err != nil {
				return translate(err)
			}
			waits, sent = append(waits, w), append(sent, s)
			if len(waits) == publishWindow {
				if err := settle(); err != nil {
					return err
				}
			}
		}
		if err := settle(); err != nil {
			return err
		}
	}
	return nil
}

// ErrNotNoted is the error of Trim where NoteArchived has not come so far.
var ErrNotNoted = errors.New("what would be taken away is not noted as archived")

// Trim takes everything up to a sequence away from a stream, for good; the
// caller has made sure that the archive has it. What is younger than the
// de-duplication window must stay, since readers rely on it. METADATA is
// refused, and so is what NoteArchived has not recorded.
func (l *Log) Trim(ctx context.Context, stream, id string, upTo uint64) error {
	if !trims(stream) {
		return events.Invalid("not_trimmed", "", "%s stays whole", stream)
	}
	noted, err := l.Noted(ctx, stream, id)
	if err == nil && noted < upTo {
		err = ErrNotNoted
	}
	if err == nil {
		var s jetstream.Stream
		ctx, cancel := context.WithTimeout(ctx, time.Minute) // a large purge takes its time
		defer cancel()
		if s, err = l.js.Stream(ctx, stream); err == nil {
			if streamID(s.CachedInfo()) != id {
				err = ErrOtherLog
			} else {
				err = s.Purge(ctx, jetstream.WithPurgeSequence(upTo+1))
			}
		}
	}
	if err != nil {
		return fmt.Errorf("trim %s up to %d: %w", stream, upTo, translate(err))
	}
	return nil
}

// Refill puts a message of the archive back at the end of a stream, where it
// must get the sequence that it had; events.ErrConflict if the stream's last one
// is not just before it.
func (l *Log) Refill(ctx context.Context, stream string, seq uint64, subject string, header map[string][]string, data []byte) error {
	m := &nats.Msg{Subject: subject, Header: nats.Header{}, Data: data}
	for k, v := range header {
		if !strings.HasPrefix(k, "Nats-Expected-") {
			m.Header[k] = v
		}
	}
	m.Header[jetstream.ExpectedLastSeqHeader] = []string{strconv.FormatUint(seq-1, 10)}
	m.Header[jetstream.ExpectedStreamHeader] = []string{stream}
	ack, err := l.publishMsg(ctx, m)
	if err == nil && ack.Duplicate { // it came twice, long after the first time
		m.Header.Del(jetstream.MsgIDHeader)
		ack, err = l.publishMsg(ctx, m)
	}
	if err == nil && ack.Seq != seq {
		err = fmt.Errorf("%w: it has the sequence %d", events.ErrConflict, ack.Seq)
	}
	if err != nil {
		return fmt.Errorf("refill %d of %s: %w", seq, stream, translate(err))
	}
	return nil
}
