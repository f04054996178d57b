package nats

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/chat-platform/chat/events"
)

type stream struct {
	name     string
	subjects []string
	divided  bool          // by channel, if Config.Partitions says so
	keep     bool          // no message is ever taken out of the middle
	age      time.Duration // after which a message goes; 0: never
	size     int64         // bytes, beyond which the oldest go; 0: any
	last     bool          // only the last message of each subject is kept
}

// cutOffsAge is how long cut-offs are kept: much longer than a token lives, so
// that whoever writes them finds where it was.
const cutOffsAge = 7 * 24 * time.Hour

// snapshotsSize bounds the snapshots: some ninety of 100,000 channels. Whoever finds
// none reads the log.
const snapshotsSize = 256 << 20

var streams = []stream{
	{name: events.StreamMessages, subjects: events.MessagesSubjects, divided: true, keep: true},
	{name: events.StreamMetadata, subjects: events.MetadataSubjects, keep: true},
	{name: events.StreamDeadLetters, subjects: events.DeadLettersSubjects},
	{name: events.StreamCutOffs, subjects: events.CutOffsSubjects, age: cutOffsAge, size: 256 << 20},
	{name: streamViews, subjects: []string{viewsSubjects}, last: true},
	{name: streamSnapshots, subjects: []string{snapshotsSubjects}, last: true, size: snapshotsSize},
	{name: StreamArchived, subjects: []string{archivedSubjects}, last: true},
}

func (c Config) limit(stream string) int64 {
	switch stream {
	case events.StreamMessages:
		return c.MessagesBytes
	case events.StreamMetadata:
		return c.MetadataBytes
	case events.StreamDeadLetters:
		return c.DeadBytes
	}
	return 0
}

// ensureStreams creates what is missing and returns the de-duplication window
// that holds for all. A server that does not answer is asked again, for
// Config.ConnectWait. Settings that somebody gave an existing stream (limits,
// replicas, placement) are left alone.
func (l *Log) ensureStreams(ctx context.Context, cfg Config) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnectWait)
	defer cancel()
	window := time.Duration(0)
	for _, s := range streams {
		w, err := l.ensureStream(ctx, cfg, s)
		for wait := 50 * time.Millisecond; errors.Is(translate(err), events.ErrUnavailable) && ctx.Err() == nil; wait = min(2*wait, time.Second) {
			l.log.Warn("log: stream is not to be had, will try again", "stream", s.name, "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(wait/2 + rand.N(wait)):
				w, err = l.ensureStream(ctx, cfg, s)
			}
		}
		if err != nil {
			return 0, fmt.Errorf("stream %s: %w", s.name, err)
		}
		if window == 0 || w < window {
			window = w
		}
	}
	return window, nil
}

func (l *Log) ensureStream(ctx context.Context, cfg Config, s stream) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	want := jetstream.StreamConfig{
		Name: s.name, Subjects: s.subjects, Storage: jetstream.FileStorage, Replicas: cfg.Replicas,
		AllowDirect: true, DenyDelete: s.keep, Duplicates: cfg.DedupWindow,
		MaxMsgs: -1, MaxBytes: -1, MaxAge: s.age, MaxMsgsPerSubject: -1, MaxConsumers: -1, MaxMsgSize: -1,
	}
	if s.size > 0 {
		want.MaxBytes = s.size
	}
	if limit := cfg.limit(s.name); limit > 0 {
		// Full, it refuses. Letting the oldest go would lose what was accepted.
		want.MaxBytes, want.Discard = limit, jetstream.DiscardNew
	}
	if s.last {
		want.MaxMsgsPerSubject = 1
	}
	if cfg.Compress {
		want.Compression = jetstream.S2Compression
	}
	if s.divided {
		divide(&want, Partitions{}, cfg.Partitions)
	}
	st, err := l.js.Stream(ctx, s.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		st, err = l.js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another process was faster, with other settings
			st, err = l.js.Stream(ctx, s.name)
		}
		if err == nil && s.keep {
			err = l.KeepID(ctx, s.name)
		}
	}
	if err != nil {
		return 0, err
	}
	have := st.CachedInfo().Config
	a, b := slices.Sorted(slices.Values(have.Subjects)), slices.Sorted(slices.Values(want.Subjects))
	if !slices.Equal(a, b) {
		return 0, fmt.Errorf("%w: it exists with the subjects %q, expected %q", events.ErrConflict, a, b)
	}
	p, err := partitionsOf(have)
	if err != nil {
		return 0, err
	}
	if s.divided {
		l.noteDivided(have)
	}
	if s.divided && cfg.Partitions > 1 && p.Now != cfg.Partitions {
		l.log.Warn("log: the stream is divided otherwise, and stays so (chat partitions changes it)", "stream", s.name, "partitions", p.Now, "NATS_PARTITIONS", cfg.Partitions)
	}
	if have.AllowDirect && have.Duplicates >= want.Duplicates {
		return have.Duplicates, nil
	}
	have.AllowDirect = true
	have.Duplicates = max(have.Duplicates, want.Duplicates)
	st, err = l.js.UpdateStream(ctx, have)
	if err != nil {
		return 0, err
	}
	return st.CachedInfo().Config.Duplicates, nil
}

func (l *Log) streamInfo(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	st, err := l.js.Stream(ctx, name)
	if err != nil {
		return nil, translate(err)
	}
	l.note(name, st.CachedInfo().State.LastSeq)
	if name == events.StreamMessages {
		l.noteDivided(st.CachedInfo().Config)
	}
	return st.CachedInfo(), nil
}

// LastSequence is the sequence of the stream's last event, 0 while there is
// none. The stream's leader answers.
func (l *Log) LastSequence(ctx context.Context, stream string) (uint64, error) {
	info, err := l.streamInfo(ctx, stream)
	if err != nil {
		return 0, fmt.Errorf("last sequence of %s: %w", stream, err)
	}
	return info.State.LastSeq, nil
}

// Epoch identifies this log: sequences of another epoch mean nothing here. It
// is the creation time of its streams.
func (l *Log) Epoch(ctx context.Context) (string, error) {
	epoch := ""
	for _, s := range []string{events.StreamMessages, events.StreamMetadata} {
		info, err := l.streamInfo(ctx, s)
		if err != nil {
			return "", fmt.Errorf("epoch of the log: %s: %w", s, err)
		}
		if epoch != "" {
			epoch += "."
		}
		epoch += strconv.FormatInt(info.Created.UnixNano(), 36)
	}
	return epoch, nil
}
