package rebuild_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/stores/messages"
	"github.com/chat-platform/chat/infra/stores/metadata"
	"github.com/chat-platform/chat/infra/stores/search"
	"github.com/chat-platform/chat/local/rebuild"
	"github.com/chat-platform/chat/local/views"
)

const (
	lease = 100 * time.Millisecond
	long  = 3 * time.Minute
)

var quiet = slog.New(slog.DiscardHandler)

// stage is a log with the stores of its views, as a platform has them.
type stage struct {
	log *natslog.Log
	dir string
	cfg views.Config

	lease time.Duration
	batch int // of writers
}

func newStage(t *testing.T) *stage {
	dir := t.TempDir()
	return &stage{log: natstest.Open(t), dir: dir, cfg: views.Embedded(dir), lease: lease, batch: 50}
}

func (s *stage) host() stores.Host { return stores.Host{Views: s.log, Lease: s.lease, Log: quiet} }

func (s *stage) rebuilder(report func(rebuild.Report)) *rebuild.Rebuilder {
	return &rebuild.Rebuilder{Log: s.log, Views: s.cfg, Host: stores.Host{Lease: s.lease, Log: quiet}, Report: report, Logger: quiet}
}

func (s *stage) state(t *testing.T, view string) stores.State {
	t.Helper()
	state, _, err := stores.ReadState(t.Context(), s.log, view)
	require.NoError(t, err)
	return state
}

func event(t *testing.T, typ, subject string, payload any) events.Event {
	t.Helper()
	data, err := json.Marshal(payload)
	require.NoError(t, err)
	return events.Event{ID: "evt_" + string(events.NewClientID()), Source: "/test", Type: typ, Subject: subject, Data: data}
}

func said(t *testing.T, channel events.ChannelID, text string) events.Event {
	client := events.NewClientID()
	return event(t, events.TypeMessageSent, events.MessageSubject(channel), events.MessageSent{
		ID: events.NewMessageID("ann", channel, client), ChannelID: channel, AuthorID: "ann", Text: text, ClientID: client, SentAt: time.UnixMilli(1_700_000_000_000).UTC()})
}

func joined(t *testing.T, channel events.ChannelID, user events.UserID) events.Event {
	return event(t, events.TypeMemberJoined, events.MemberSubject(channel, user), events.MemberJoined{ChannelID: channel, UserID: user, Role: events.RoleMember, At: time.UnixMilli(1_700_000_000_000).UTC()})
}

// talk is a channel in which ann says n things.
func talk(t *testing.T, channel events.ChannelID, n int) []events.Event {
	es := []events.Event{
		event(t, events.TypeChannelCreated, events.ChannelSubject(channel), events.ChannelCreated{ID: channel, Name: "C", Visibility: events.Public, CreatedBy: "ann"}),
		joined(t, channel, "ann"),
	}
	for i := range n {
		es = append(es, said(t, channel, fmt.Sprint("hello number ", i)))
	}
	return es
}

func (s *stage) publish(t *testing.T, es ...events.Event) []events.Ack {
	t.Helper()
	acks, errs := s.log.PublishAll(t.Context(), es, nil)
	require.NoError(t, errors.Join(errs...))
	return acks
}

// service is the stores as readers have them, while writers write.
type service struct {
	messages stores.Messages
	metadata stores.Metadata
	search   stores.Search
}

// serve opens the stores and feeds them from the log, as sources do, until the
// test ends.
func (s *stage) serve(t *testing.T) *service {
	t.Helper()
	var v service
	var err error
	v.messages, err = messages.Open(t.Context(), s.cfg.Messages, s.host())
	require.NoError(t, err)
	v.metadata, err = metadata.Open(t.Context(), s.cfg.Metadata, s.host())
	require.NoError(t, err)
	v.search, err = search.Open(t.Context(), s.cfg.Search, s.host())
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	writers := []views.Write{views.All()[0].Writing(v.messages), views.All()[1].Writing(v.metadata), views.All()[2].Writing(v.search)}
	for i, view := range views.All() {
		c, err := s.log.Consumer(t.Context(), natslog.ConsumerConfig{Stream: view.Stream, Name: view.Consumer})
		require.NoError(t, err)
		running.Go(func() {
			defer c.Close()
			s.feed(ctx, t, c, writers[i])
		})
	}
	t.Cleanup(func() {
		stop()
		running.Wait()
		require.NoError(t, errors.Join(v.messages.Close(), v.metadata.Close(), v.search.Close()))
	})
	return &v
}

func (s *stage) feed(ctx context.Context, t *testing.T, c *natslog.Consumer, write views.Write) {
	for ctx.Err() == nil {
		ds, err := c.Fetch(ctx, s.batch, 50*time.Millisecond)
		if err != nil {
			continue
		}
		es := make([]events.Event, 0, len(ds))
		for _, d := range ds {
			if d.Err == nil {
				es = append(es, d.Event)
			}
		}
		for ctx.Err() == nil {
			if _, err = views.Apply(ctx, write, es); err == nil {
				break
			}
			if !errors.Is(err, events.ErrUnavailable) && ctx.Err() == nil {
				t.Errorf("a writer fails: %v", err)
				return
			}
			select { // as a source does, later again
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
		for _, d := range ds {
			if err == nil {
				_ = d.Ack()
			}
		}
	}
}

// applied waits until all views have all of the log.
func (s *stage) applied(t *testing.T) {
	t.Helper()
	for _, v := range views.All() {
		require.Eventually(t, func() bool {
			applied, last, err := s.log.Position(t.Context(), v.Stream, v.Consumer)
			return err == nil && applied >= last
		}, long, 5*time.Millisecond, v.Name)
	}
}

// sums of a generation, and what they have to be.
func (s *stage) sums(t *testing.T, v views.View, generation int) (got, want map[events.ChannelID]events.Checksum) {
	t.Helper()
	store, _, err := v.Generation(t.Context(), s.cfg, stores.Host{}, generation)
	require.NoError(t, err)
	defer store.Close()
	got, err = store.Checksums(t.Context(), stores.All)
	require.NoError(t, err)
	last, err := s.log.LastSequence(t.Context(), v.Stream)
	require.NoError(t, err)
	e := v.Expect()
	require.NoError(t, s.log.Range(t.Context(), v.Stream, nil, 1, last, func(event events.Event) error {
		_, err := e.Add(t.Context(), []events.Event{event})
		return err
	}))
	return got, e.Sums()
}

// holds checks that the live generation is what the log says, and the only one.
func (s *stage) holds(t *testing.T, v views.View, generation int) {
	t.Helper()
	state := s.state(t, v.Name)
	require.Equal(t, stores.State{Live: generation, Last: state.Last, Beat: state.Beat}, state)
	got, want := s.sums(t, v, generation)
	require.Equal(t, want, got, v.Name)
}
