package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

// Applied tells how far a durable consumer has come: every event with a sequence
// up to the answer has been acknowledged, terminated, or does not match its
// filters. What the stream has let go of has been: the archiver takes nothing away
// before that, so while there is no such consumer the answer is what lies before
// the stream's first event, 0 in a stream that is whole.
func (l *Log) Applied(ctx context.Context, stream, consumer string) (uint64, error) {
	applied, _, err := l.Position(ctx, stream, consumer)
	return applied, err
}

// Position is [Log.Applied] and the sequence of the stream's last event as of
// just before. Where they are equal, the consumer has dealt with everything that
// the log had acknowledged when Position was called. It costs two requests, and a
// third where other events than the consumer's have come last; on a stream with
// partitions one, and one or two more for each, all of these at once.
func (l *Log) Position(ctx context.Context, stream, consumer string) (applied, last uint64, err error) {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	info, err := l.streamInfo(ctx, stream) // before the consumer is asked, lest the answer be too high
	if err == nil {
		last = info.State.LastSeq
		applied, err = l.applied(ctx, info, consumer)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("applied by %s of %s: %w", consumer, stream, err)
	}
	return max(applied, letGo(info)), last, nil
}

// letGo is the last sequence of what lies before the stream's first event.
func letGo(info *jetstream.StreamInfo) uint64 { return max(info.State.FirstSeq, 1) - 1 }

// applied is what all parts of a consumer have passed.
func (l *Log) applied(ctx context.Context, info *jetstream.StreamInfo, consumer string) (uint64, error) {
	p, err := partitionsOf(info.Config)
	if err != nil {
		return 0, err
	}
	all := durables(consumer, nil, p.Most)
	if len(all) == 1 {
		return l.appliedBy(ctx, info, all[0])
	}
	to := make([]uint64, len(all))
	g, ctx := errgroup.WithContext(ctx)
	for i, d := range all {
		g.Go(func() (err error) {
			to[i], err = l.appliedBy(ctx, info, d)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	applied := to[0]
	for _, seq := range to {
		applied = min(applied, seq)
	}
	return applied, nil
}

// passed says that the stream has nothing that filters match above floor up to upTo.
type passed struct {
	created     time.Time // of the stream
	filters     []string
	floor, upTo uint64
}

func (l *Log) appliedBy(ctx context.Context, info *jetstream.StreamInfo, d durable) (uint64, error) {
	stream, last := info.Config.Name, info.State.LastSeq
	floor, filters := uint64(0), d.filters
	c, err := l.js.Consumer(ctx, stream, d.name)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound) && d.number < 0:
		return 0, nil
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		// A partition that nobody has consumed yet; the stream may be ahead of it.
	case err != nil:
		return 0, translate(err)
	default:
		info := c.CachedInfo()
		floor = info.AckFloor.Stream
		if floor >= last || info.NumPending > 0 || info.NumAckPending > 0 {
			return floor, nil
		}
		filters = info.Config.FilterSubjects
		if info.Config.FilterSubject != "" {
			filters = []string{info.Config.FilterSubject}
		}
	}
	if len(filters) == 0 {
		filters = []string{">"}
	}
	// The consumer sees nothing up to last that it has not had; its replica may
	// be behind, the leader is not. To find the next event of an idle partition
	// the server may have to search the whole stream; so what was found once is
	// not asked again.
	key, from := stream+" "+d.name, floor
	l.mu.Lock()
	p := l.passed[key]
	l.mu.Unlock()
	if p.created.Equal(info.Created) && slices.Equal(p.filters, filters) && p.floor <= floor && p.upTo > floor && p.upTo <= last {
		from = p.upTo
	}
	upTo := last
	for _, filter := range filters {
		if from >= upTo {
			break
		}
		s, ok, err := l.leader(ctx, stream, getRequest{Seq: from + 1, NextFor: filter})
		if err != nil {
			return 0, err
		}
		if ok && s.seq <= upTo {
			upTo = s.seq - 1
		}
	}
	l.mu.Lock()
	l.passed[key] = passed{info.Created, filters, floor, upTo}
	l.mu.Unlock()
	return upTo, nil
}
