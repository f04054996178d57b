package nats_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	driver "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

// sent makes the n-th message of a channel.
func sent(channel string, n int) events.Event {
	return events.Event{
		ID: fmt.Sprintf("evt_%s_%d", channel, n), Source: "/test", Type: events.TypeMessageSent,
		Subject: events.MessageSubject(events.ChannelID(channel)), PartitionKey: channel,
		Time: time.Date(2026, 11, 1, 12, 0, 0, n*1000, time.UTC), Data: []byte(fmt.Sprintf(`{"n":%d}`, n)),
	}
}

func joined(channel, user string, n int) events.Event {
	e := sent(channel, n)
	e.ID, e.Type = fmt.Sprintf("evt_%s_%s_%d", channel, user, n), events.TypeMemberJoined
	e.Subject = events.MemberSubject(events.ChannelID(channel), events.UserID(user))
	return e
}

func fill(t testing.TB, log *nats.Log, n int, make func(i int) events.Event) {
	t.Helper()
	es := []events.Event{}
	for i := range n {
		es = append(es, make(i))
	}
	_, errs := log.PublishAll(t.Context(), es, nil)
	for _, err := range errs {
		require.NoError(t, err)
	}
}

// raw is a driver's connection, for what a Log refuses to do.
func raw(t testing.TB, url string) (*driver.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := driver.Connect(url)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return nc, js
}

func TestOpenTwiceAtOnce(t *testing.T) {
	srv := natstest.Start(t)
	done := make(chan error, 8)
	for range cap(done) {
		go func() {
			log, err := nats.Open(t.Context(), nats.Config{InProcess: srv})
			if err == nil {
				err = log.Close()
			}
			done <- err
		}()
	}
	for range cap(done) {
		require.NoError(t, <-done)
	}
}

func TestOpenNeverShortensTheWindow(t *testing.T) {
	srv := natstest.Start(t)
	for _, c := range []struct{ ask, want time.Duration }{
		{time.Minute, time.Minute}, {3 * time.Minute, 3 * time.Minute}, {time.Second, 3 * time.Minute},
	} {
		log, err := nats.Open(t.Context(), nats.Config{InProcess: srv, DedupWindow: c.ask})
		require.NoError(t, err)
		assert.Equal(t, c.want, log.DedupWindow(), "asked for %v", c.ask)
		require.NoError(t, log.Close())
	}
}

func TestOpenRefusesForeignStream(t *testing.T) {
	srv := natstest.Start(t)
	_, js := raw(t, srv.ClientURL())
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: events.StreamMetadata, Subjects: []string{"other.>"}})
	require.NoError(t, err)
	_, err = nats.Open(t.Context(), nats.Config{URL: srv.ClientURL()})
	require.ErrorIs(t, err, events.ErrConflict)
	assert.ErrorContains(t, err, "METADATA")
	assert.ErrorContains(t, err, "other.>")
}

func TestOpenSettings(t *testing.T) {
	srv := natstest.Start(t)
	registry := prometheus.NewRegistry()
	for range 2 { // two logs of one process share the collectors
		log, err := nats.Open(t.Context(), nats.Config{URL: srv.ClientURL(), Compress: true, Registerer: registry, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		defer log.Close()
		_, err = log.Publish(t.Context(), sent("ch_a", 1))
		require.NoError(t, err)
	}
	_, js := raw(t, srv.ClientURL())
	s, err := js.Stream(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	cfg := s.CachedInfo().Config
	assert.True(t, cfg.AllowDirect)
	assert.True(t, cfg.DenyDelete)
	assert.Equal(t, jetstream.FileStorage, cfg.Storage)
	assert.Equal(t, jetstream.S2Compression, cfg.Compression)
	families, err := registry.Gather()
	require.NoError(t, err)
	assert.EqualValues(t, 2, families[0].GetMetric()[0].GetHistogram().GetSampleCount())
}

// A stream that is full refuses, loses nothing, and leaves the others alone.
func TestStorageLimits(t *testing.T) {
	srv := natstest.Start(t)
	cfg := nats.Config{URL: srv.ClientURL(), Logger: slog.New(slog.DiscardHandler),
		MessagesBytes: 64 << 10, MetadataBytes: 65 << 10, DeadBytes: 66 << 10}
	log, err := nats.Open(t.Context(), cfg)
	require.NoError(t, err)
	defer log.Close()
	_, js := raw(t, srv.ClientURL())
	for name, limit := range map[string]int64{events.StreamMessages: 64 << 10, events.StreamMetadata: 65 << 10, events.StreamDeadLetters: 66 << 10} {
		s, err := js.Stream(t.Context(), name)
		require.NoError(t, err)
		assert.Equal(t, limit, s.CachedInfo().Config.MaxBytes, name)
		assert.Equal(t, jetstream.DiscardNew, s.CachedInfo().Config.Discard, name)
	}
	stored := 0
	for ; ; stored++ {
		e := sent("ch_a", stored)
		e.Data = []byte(fmt.Sprintf(`{"text":%q}`, strings.Repeat("x", 1000)))
		if _, err = log.Publish(t.Context(), e); err != nil {
			break
		}
		require.Less(t, stored, 100, "64 KiB hold no hundred messages of 1,000 bytes")
	}
	require.ErrorIs(t, err, events.ErrUnavailable)
	assert.ErrorContains(t, err, "maximum bytes exceeded")
	s, err := js.Stream(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	assert.EqualValues(t, stored, s.CachedInfo().State.Msgs)
	_, err = log.Publish(t.Context(), joined("ch_a", "ann", 1))
	require.NoError(t, err)

	more := s.CachedInfo().Config
	more.MaxBytes *= 2
	_, err = js.UpdateStream(t.Context(), more)
	require.NoError(t, err)
	_, err = log.Publish(t.Context(), sent("ch_a", stored+1))
	require.NoError(t, err)
}

func TestOpenGivesUp(t *testing.T) {
	start := time.Now()
	_, err := nats.Open(t.Context(), nats.Config{URL: "nats://127.0.0.1:1", ConnectWait: 100 * time.Millisecond})
	require.ErrorIs(t, err, events.ErrUnavailable)
	assert.ErrorContains(t, err, "127.0.0.1:1")
	assert.Less(t, time.Since(start), 10*time.Second)

	_, err = nats.Open(t.Context(), nats.Config{URL: "nats://127.0.0.1:1", Credentials: "/does/not/exist.creds", ConnectWait: 100 * time.Millisecond})
	require.Error(t, err)
}

func TestServerAway(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.ConnectTCP(t, srv)
	require.NoError(t, log.Ping(t.Context()))
	epoch, err := log.Epoch(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, epoch)
	ack, err := log.Publish(t.Context(), sent("ch_a", 1))
	require.NoError(t, err)

	srv.Shutdown()
	require.Eventually(t, func() bool { return log.Ping(t.Context()) != nil }, patience, time.Millisecond)
	assert.ErrorIs(t, log.Ping(t.Context()), events.ErrUnavailable)
	_, err = log.Publish(t.Context(), sent("ch_a", 2))
	assert.ErrorIs(t, err, events.ErrUnavailable)
	_, errs := log.PublishAll(t.Context(), []events.Event{sent("ch_a", 3), sent("ch_a", 4)}, nil)
	for _, err := range errs {
		assert.ErrorIs(t, err, events.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = log.Last(ctx, events.MessageSubject("ch_a"))
	assert.ErrorIs(t, err, events.ErrUnavailable)

	require.NoError(t, srv.Restart())
	require.Eventually(t, func() bool { return log.Ping(t.Context()) == nil }, patience, time.Millisecond)
	again, err := log.Publish(t.Context(), sent("ch_a", 1))
	require.NoError(t, err)
	assert.Equal(t, events.Ack{Stream: events.StreamMessages, Seq: ack.Seq, Duplicate: true}, again, "the restarted log still knows the id")
	same, err := log.Epoch(t.Context())
	require.NoError(t, err)
	assert.Equal(t, epoch, same)

	other, err := natstest.Open(t).Epoch(t.Context())
	require.NoError(t, err)
	assert.NotEqual(t, epoch, other)
}

func TestClosed(t *testing.T) {
	log := natstest.Open(t)
	require.NoError(t, log.Close())
	_, err := log.Publish(t.Context(), sent("ch_a", 1))
	assert.ErrorIs(t, err, events.ErrUnavailable)
	assert.ErrorIs(t, log.Ping(t.Context()), events.ErrUnavailable)
	_, err = log.Epoch(t.Context())
	assert.ErrorIs(t, err, events.ErrUnavailable)
	_, err = log.Consumer(t.Context(), nats.ConsumerConfig{Stream: events.StreamMessages, Name: "x"})
	assert.ErrorIs(t, err, events.ErrUnavailable)
}

// A read that is under way when the connection breaks does not wait for an answer
// that cannot come any more.
func TestAReadEndsWithItsConnection(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	asked := make(chan struct{})
	unsubscribe, err := log.Bus().Subscribe("never.answered", "", func(nats.BusMessage) { close(asked) })
	require.NoError(t, err)
	defer unsubscribe()
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	go func() { done <- log.Ask(ctx, "never.answered") }()
	<-asked
	srv.Shutdown()
	select {
	case err := <-done:
		require.ErrorIs(t, err, events.ErrUnavailable)
	case <-time.After(time.Minute):
		t.Fatal("it waits on")
	}
	require.ErrorIs(t, log.Ask(ctx, "never.answered"), events.ErrUnavailable)
}
