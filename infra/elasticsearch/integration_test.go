//go:build integration

package elasticsearch_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/elasticsearch"
	"github.com/chat-platform/chat/infra/servertest"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/storetest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// configOf is an index of its own on the server, dropped with the test.
func configOf(t testing.TB, url string) elasticsearch.Config {
	c := elasticsearch.Config{URLs: []string{url}, Index: servertest.Name(t)}
	t.Cleanup(func() {
		var found map[string]any
		request(t, url, http.MethodGet, "/"+c.Index+"-*/_alias", nil, &found) // all generations
		for index := range found {
			request(t, url, http.MethodDelete, "/"+index, nil, nil)
		}
		var templates struct {
			All []struct{ Name string } `json:"index_templates"`
		}
		request(t, url, http.MethodGet, "/_index_template/"+c.Index+"*", nil, &templates)
		for _, template := range templates.All {
			request(t, url, http.MethodDelete, "/_index_template/"+template.Name, nil, nil)
		}
	})
	return c
}

func open(t testing.TB, c elasticsearch.Config) *elasticsearch.Store {
	s, err := elasticsearch.Open(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestSearch(t *testing.T) {
	storetest.TestSearch(t, func(t *testing.T) storetest.Search { return open(t, configOf(t, servertest.Elasticsearch(t))) },
		func(t *testing.T) func(int) storetest.Search {
			c := configOf(t, servertest.Elasticsearch(t))
			return func(generation int) storetest.Search {
				c.Generation = generation
				return open(t, c)
			}
		})
}

// indices of a view, and where its alias points.
func indices(t testing.TB, c elasticsearch.Config) (all []string, live string) {
	var found map[string]struct {
		Aliases map[string]any `json:"aliases"`
	}
	request(t, c.URLs[0], http.MethodGet, "/"+c.Index+"-0*/_alias", nil, &found)
	for index, i := range found {
		all = append(all, index)
		if _, ok := i.Aliases[c.Index]; ok {
			live = index
		}
	}
	return all, live
}

func TestOpenBySeveral(t *testing.T) {
	c := configOf(t, servertest.Elasticsearch(t))
	c.Shards = 2
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			var s *elasticsearch.Store
			if s, errs[i] = elasticsearch.Open(t.Context(), c); errs[i] == nil {
				errs[i] = errors.Join(s.IndexMessages(t.Context(), messages(10)), s.Close())
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	all, live := indices(t, c)
	require.Equal(t, []string{c.Index + "-000001"}, all)
	require.Equal(t, c.Index+"-000001", live)

	s := open(t, c)
	requireHolds(t, s, messages(10))
	outdated, err := s.Outdated(t.Context())
	require.NoError(t, err)
	require.False(t, outdated)
	request(t, c.URLs[0], http.MethodPut, "/"+live+"/_mapping", map[string]any{"_meta": map[string]any{}}, nil)
	outdated, err = s.Outdated(t.Context())
	require.NoError(t, err)
	require.True(t, outdated)
	c.Generation = 2
	next := open(t, c)
	t.Cleanup(func() { require.NoError(t, next.Drop(context.WithoutCancel(t.Context()))) })
	outdated, err = next.Outdated(t.Context())
	require.NoError(t, err)
	require.False(t, outdated, "the next generation")
}

func TestWaitVisible(t *testing.T) {
	c := configOf(t, servertest.Elasticsearch(t))
	c.WaitVisible = true
	s := open(t, c)
	for i, m := range messages(3) {
		require.NoError(t, s.IndexMessages(t.Context(), []events.Message{m}))
		page, err := s.SearchMessages(t.Context(), events.SearchQuery{Text: "number", Channels: []events.ChannelID{m.ChannelID}, Limit: 10})
		require.NoError(t, err)
		require.Len(t, page.Hits, i+1)
	}
}

// One terms filter takes 65,536 of them.
func TestMoreChannelsThanOneFilterTakes(t *testing.T) {
	s := open(t, configOf(t, servertest.Elasticsearch(t)))
	require.NoError(t, s.IndexMessages(t.Context(), messages(3)))
	require.NoError(t, s.Refresh(t.Context()))
	var channels []events.ChannelID
	for i := range 140_000 {
		channels = append(channels, events.ChannelID(fmt.Sprintf("ch_other_%d", i)))
	}
	channels = append(channels, messages(1)[0].ChannelID)
	page, err := s.SearchMessages(t.Context(), events.SearchQuery{Text: "number", Channels: channels, Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Hits, 3)
}

// The server refuses what is larger than its breaker lets in.
func TestPressure(t *testing.T) {
	c := configOf(t, servertest.Elasticsearch(t))
	c.Attempts, c.RetryWait = 3, time.Millisecond
	s := open(t, c)
	c.Attempts, c.RetryWait = 1_000, 20*time.Millisecond
	patient := open(t, c)
	limit := func(value any) {
		request(t, c.URLs[0], http.MethodPut, "/_cluster/settings", map[string]any{
			"persistent": map[string]any{"network.breaker.inflight_requests.limit": value}}, nil)
	}
	t.Cleanup(func() { limit(nil) })
	limit("1kb")
	err := s.IndexMessages(t.Context(), messages(100))
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorContains(t, err, "429")
	require.ErrorContains(t, err, "3 attempts")

	done := make(chan error, 1)
	go func() { done <- patient.IndexMessages(t.Context(), messages(100)) }()
	tripped := func() (n int) {
		var stats struct {
			Nodes map[string]struct {
				Breakers map[string]struct{ Tripped int } `json:"breakers"`
			} `json:"nodes"`
		}
		request(t, c.URLs[0], http.MethodGet, "/_nodes/stats/breaker", nil, &stats)
		for _, node := range stats.Nodes {
			n += node.Breakers["inflight_requests"].Tripped
		}
		return n
	}
	before := tripped()
	require.Eventually(t, func() bool { return tripped() >= before+2 }, 30*time.Second, 5*time.Millisecond)
	limit(nil)
	require.NoError(t, <-done)
	requireHolds(t, s, messages(100))
}

// An index that somebody deletes is made anew by the next write; what it held
// comes back by a rebuild.
func TestDeletedIndex(t *testing.T) {
	c := configOf(t, servertest.Elasticsearch(t))
	c.Attempts, c.RetryWait = 2, time.Millisecond
	s := open(t, c)
	require.NoError(t, s.IndexMessages(t.Context(), messages(5)))
	for _, template := range []bool{false, true} {
		request(t, c.URLs[0], http.MethodDelete, "/"+c.Index+"-000001", nil, nil)
		if template {
			request(t, c.URLs[0], http.MethodDelete, "/_index_template/"+c.Index, nil, nil)
		}
		_, err := s.Checksums(t.Context(), stores.All)
		require.ErrorIs(t, err, events.ErrUnavailable, "reads do not pretend that it is empty")
		require.ErrorIs(t, s.IndexMessages(t.Context(), messages(10)), events.ErrUnavailable)
		require.NoError(t, s.IndexMessages(t.Context(), messages(10)), "the next attempt")
		requireHolds(t, s, messages(10))
	}
}

// Nothing that was acknowledged is lost when the server is killed.
func TestKilledServer(t *testing.T) {
	srv := servertest.Start(t, servertest.ProductElasticsearch, servertest.Env("ES_JAVA_OPTS", "-Xms512m -Xmx512m"))
	c := elasticsearch.Config{URLs: []string{srv.Address()}, Attempts: 2, RetryWait: time.Millisecond, Timeout: 10 * time.Second}
	s := open(t, c)
	require.NoError(t, s.IndexMessages(t.Context(), messages(500)))
	srv.Kill(t)
	require.ErrorIs(t, s.Ping(t.Context()), events.ErrUnavailable)
	require.ErrorIs(t, s.IndexMessages(t.Context(), messages(1)), events.ErrUnavailable)
	_, err := s.SearchMessages(t.Context(), events.SearchQuery{Text: "number", Channels: []events.ChannelID{"ch_a"}, Limit: 1})
	require.ErrorIs(t, err, events.ErrUnavailable)
	srv.Restart(t)
	require.Eventually(t, func() bool { return s.Refresh(t.Context()) == nil }, time.Minute, 100*time.Millisecond)
	requireHolds(t, s, messages(500))
}
