package main_test

import (
	"context"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/hot"
	"github.com/chat-platform/chat/infra/sqlite"
	"github.com/chat-platform/chat/infra/storetest"
)

// through is a store whose latest pages are kept. Every write is an event of the
// log, of all channels at once.
type through struct {
	storetest.Messages
	pages *hot.Pages
	last  atomic.Uint64
}

func (s *through) PutMessages(ctx context.Context, ms []events.Message) error {
	defer s.last.Add(1)
	return s.Messages.PutMessages(ctx, ms)
}

func (s *through) Reset(ctx context.Context) error {
	defer s.last.Add(1)
	return s.Messages.Reset(ctx)
}

func (s *through) History(ctx context.Context, q events.HistoryQuery) (events.HistoryPage, error) {
	if q.Before != 0 || q.After != 0 || q.Around != 0 {
		return s.Messages.History(ctx, q)
	}
	return s.pages.Get(ctx, string(q.Channel)+"/"+strconv.Itoa(q.Limit), func(ctx context.Context) (events.Event, error) {
		// A store that is closed, like a caller who has gone, has no last event.
		return events.Event{ID: "evt", Sequence: s.last.Load()}, s.Ping(ctx)
	}, func(ctx context.Context) (events.HistoryPage, bool, error) {
		p, err := s.Messages.History(ctx, q)
		return p, true, err
	})
}

// The stores' suite passes through the cache.
func TestSuite(t *testing.T) {
	open := func(t *testing.T, path string) storetest.Messages {
		t.Helper()
		store, err := sqlite.OpenMessages(t.Context(), path)
		require.NoError(t, err)
		t.Cleanup(func() { _ = store.Close() })
		return &through{Messages: store, pages: hot.New(hot.Config{Bytes: 1 << 20}, nil, nil)}
	}
	storetest.TestMessages(t, func(t *testing.T) storetest.Messages {
		t.Helper()
		return open(t, filepath.Join(t.TempDir(), "messages.db"))
	}, func(t *testing.T) func(int) storetest.Messages {
		dir := t.TempDir()
		return func(generation int) storetest.Messages {
			return open(t, filepath.Join(dir, strconv.Itoa(generation)+".db"))
		}
	})
}
