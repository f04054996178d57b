package nats

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/chat-platform/chat/events"
)

// MESSAGES may have partitions, by channel: the stream's own subject transform
// stores messages.send.ch_a as 2.send.ch_a, where 2 is its partition of N, and a
// durable consumer becomes several, one a partition. It stays one stream: one
// order of sequences, and everything that rests on it.
//
// Only this package knows. Events are published to and read by their plain
// subjects; a filter asks for the first token whatever it is, so a read finds what
// was stored in any partition, under any N, and before there were partitions.

const (
	plainToken    = "messages" // the first token of what is stored in no partition
	transformFrom = "messages.*.*"
	transformTo   = "{{partition(%d,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"

	// partitionsKey says, in the stream's metadata, how many partitions it has had
	// at most: what was stored in them is consumed from them.
	partitionsKey = "chat-partitions"
)

// PartitionsMost is the most partitions that a stream takes.
const PartitionsMost = 256

// Partitions is how a stream is divided.
type Partitions struct {
	Now  int // that new events go to; 1: none, they are stored as they come
	Most int // that there have ever been, each with a consumer of its own; 0: none
}

// partitionsOf reads a stream's settings.
func partitionsOf(cfg jetstream.StreamConfig) (Partitions, error) {
	p := Partitions{Now: 1}
	if cfg.Name != events.StreamMessages {
		return p, nil
	}
	if v := cfg.Metadata[partitionsKey]; v != "" {
		var err error
		if p.Most, err = strconv.Atoi(v); err != nil || p.Most < 0 || p.Most > PartitionsMost {
			return p, fmt.Errorf("%w: its metadata has %q for %s", events.ErrConflict, v, partitionsKey)
		}
	}
	if t := cfg.SubjectTransform; t != nil {
		if _, err := fmt.Sscanf(t.Destination, transformTo, &p.Now); err != nil || p.Now < 2 || p.Now > PartitionsMost || *t != *transform(p.Now) {
			return p, fmt.Errorf("%w: it exists with the subject transform %q to %q, expected that of partitions", events.ErrConflict, t.Source, t.Destination)
		}
		p.Most = max(p.Most, p.Now)
	}
	return p, nil
}

// divide writes a number of partitions into a stream's settings.
func divide(cfg *jetstream.StreamConfig, p Partitions, n int) {
	cfg.SubjectTransform = transform(n)
	if n > 1 {
		cfg.Metadata = maps.Clone(cfg.Metadata)
		if cfg.Metadata == nil {
			cfg.Metadata = map[string]string{}
		}
		cfg.Metadata[partitionsKey] = strconv.Itoa(max(p.Most, n))
	}
}

func transform(n int) *jetstream.SubjectTransformConfig {
	if n <= 1 {
		return nil
	}
	return &jetstream.SubjectTransformConfig{Source: transformFrom, Destination: fmt.Sprintf(transformTo, n)}
}

// Partitions tells how MESSAGES is divided.
func (l *Log) Partitions(ctx context.Context) (Partitions, error) {
	info, err := l.streamInfo(ctx, events.StreamMessages)
	if err == nil {
		var p Partitions
		if p, err = partitionsOf(info.Config); err == nil {
			return p, nil
		}
	}
	return Partitions{}, fmt.Errorf("partitions of %s: %w", events.StreamMessages, err)
}

// Repartition has new messages go to n partitions, while everything runs. What is
// stored stays where it is and is found and consumed there: nothing is lost, and no
// view has to begin anew. A channel's events from before and after may be handled
// by two processes at once, for as long as those before last; and where there were
// no partitions yet, consumers get new events twice until they notice.
//
// Each replica of a stream divides by itself what it stores, and would not begin
// with the same message; so a stream with several is refused (events.ErrConflict):
// it is to be scaled to one replica for that time.
func (l *Log) Repartition(ctx context.Context, n int) error {
	if n < 1 || n > PartitionsMost {
		return events.Invalid("invalid_partitions", "", "%d partitions, expected 1 to %d", n, PartitionsMost)
	}
	info, err := l.streamInfo(ctx, events.StreamMessages)
	var p Partitions
	if err == nil {
		p, err = partitionsOf(info.Config)
	}
	switch {
	case err != nil || p.Now == n:
	case info.Config.Replicas > 1:
		err = events.NewFault(events.ErrConflict, "stream_is_replicated", "",
			"replicas would not begin with the same message; scale the stream to one replica, divide it, and scale it back to %d", info.Config.Replicas)
	default:
		cfg := info.Config
		divide(&cfg, p, n)
		ctx, cancel := l.bounded(ctx)
		defer cancel()
		_, err = l.js.UpdateStream(ctx, cfg)
	}
	if err != nil {
		return fmt.Errorf("divide %s by %d: %w", events.StreamMessages, n, translate(err))
	}
	return nil
}

func (l *Log) noteDivided(cfg jetstream.StreamConfig) {
	l.divided.Store(cfg.SubjectTransform != nil || cfg.Metadata[partitionsKey] != "")
}

// storedFilter is a filter of plain subjects for what is stored.
func storedFilter(filter string) string {
	rest, ok := strings.CutPrefix(filter, plainToken+".")
	switch {
	case !ok:
		return filter
	case rest == ">":
		return ">"
	}
	return "*." + rest
}

func storedFilters(filters []string) []string {
	stored := slices.Clone(filters)
	for i, f := range stored {
		stored[i] = storedFilter(f)
	}
	return stored
}

// plainSubject is the subject by which what is stored was published. No subject
// of the log begins with a digit but those of partitions.
func plainSubject(stored string) string {
	if stored == "" || stored[0] < '0' || stored[0] > '9' {
		return stored
	}
	_, rest, ok := strings.Cut(stored, ".")
	if !ok {
		return stored
	}
	return plainToken + "." + rest
}

// durable is one of the server's consumers that together are a Consumer.
type durable struct {
	name    string
	filters []string
	number  int // of the partition; −1: what is in none
}

// durables are those of a consumer on a stream that has had so many partitions.
// There is always one with the consumer's own name, for what is in none.
func durables(name string, filters []string, most int) []durable {
	if most == 0 {
		return []durable{{name, filters, -1}}
	}
	if len(filters) == 0 {
		filters = []string{">"}
	}
	all := make([]durable, 0, most+1)
	for n := -1; n < most; n++ {
		d, token := durable{name: name, number: n}, plainToken
		if n >= 0 {
			token = strconv.Itoa(n)
			d.name += "-" + token
		}
		for _, f := range filters {
			if _, rest, ok := strings.Cut(f, "."); ok {
				f = rest
			}
			d.filters = append(d.filters, token+"."+f)
		}
		all = append(all, d)
	}
	return all
}

// most is how many partitions a stream has ever had.
func (l *Log) most(ctx context.Context, stream string) (int, error) {
	if stream != events.StreamMessages {
		return 0, nil
	}
	p, err := l.Partitions(ctx)
	return p.Most, err
}
