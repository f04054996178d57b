package elasticsearch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/elasticsearch"
	"github.com/chat-platform/chat/infra/stores"
)

func openFake(t *testing.T, srv *server, change ...func(*elasticsearch.Config)) *elasticsearch.Store {
	t.Helper()
	c := elasticsearch.Config{URLs: []string{srv.URL}, RetryWait: time.Microsecond, Attempts: 4}
	for _, f := range change {
		f(&c)
	}
	s, err := elasticsearch.Open(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestWriteSearchReset(t *testing.T) {
	srv := newServer(t)
	s := openFake(t, srv)
	require.NoError(t, s.Ping(t.Context()))
	require.NoError(t, s.IndexMessages(t.Context(), nil))
	require.NoError(t, s.IndexMessages(t.Context(), messages(1_200)))
	require.NoError(t, s.IndexMessages(t.Context(), messages(3)), "again")
	late := messages(1)
	late[0].Seq, late[0].Text = 5_000, "a duplicate"
	require.NoError(t, s.IndexMessages(t.Context(), late), "a stale one is as good as stored")
	require.NoError(t, s.Refresh(t.Context()))
	requireHolds(t, s, messages(1_200))

	q := events.SearchQuery{Text: "number 東京都 str", Channels: []events.ChannelID{"ch_a"}, Before: 1_101, Limit: 1_050}
	page, err := s.SearchMessages(t.Context(), q)
	require.NoError(t, err)
	require.Len(t, page.Hits, 1_050)
	require.True(t, page.More)
	require.EqualValues(t, 1_100, page.Hits[0].Message.Seq)
	require.Equal(t, "<number> 1099 of Straße & 東京都", page.Hits[0].Snippet)
	q.Before = page.Hits[1_049].Message.Seq
	page, err = s.SearchMessages(t.Context(), q)
	require.NoError(t, err)
	require.Len(t, page.Hits, 50)
	require.False(t, page.More)
	q.Text = "elephant"
	page, err = s.SearchMessages(t.Context(), q)
	require.NoError(t, err)
	require.Empty(t, page.Hits, "what an outdated index finds is looked at")
	for _, nothing := range []events.SearchQuery{{Text: "- !", Channels: q.Channels, Limit: 1}, {Text: "number", Limit: 1}} {
		n := len(srv.requests)
		page, err = s.SearchMessages(t.Context(), nothing)
		require.NoError(t, err)
		require.Empty(t, page.Hits)
		require.Len(t, srv.requests, n, "the server is not asked")
	}
	for _, bad := range []events.SearchQuery{{Text: "number", Channels: q.Channels}, {Text: strings.Repeat("a ", 100) + manyWords(200), Channels: q.Channels, Limit: 1}} {
		_, err = s.SearchMessages(t.Context(), bad)
		require.ErrorIs(t, err, events.ErrInvalid)
	}

	require.NoError(t, s.Reset(t.Context()))
	require.Equal(t, "messages-000002", srv.aliases["messages"])
	require.Len(t, srv.indices, 1)
	sums, err := s.Checksums(t.Context(), stores.All)
	require.NoError(t, err)
	require.Empty(t, sums)
}

func manyWords(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "word%d ", i)
	}
	return b.String()
}

// The query that reaches the server, whole.
func TestQuery(t *testing.T) {
	srv := newServer(t)
	s := openFake(t, srv)
	var got map[string]any
	srv.refuse = func(r *http.Request, body []byte) (int, string) {
		if strings.HasSuffix(r.URL.Path, "_search") {
			_ = json.Unmarshal(body, &got)
		}
		return 0, ""
	}
	channels := make([]events.ChannelID, 65_537)
	for i := range channels {
		channels[i] = events.ChannelID(fmt.Sprint(i))
	}
	for _, c := range []struct {
		q    events.SearchQuery
		want string
	}{
		{events.SearchQuery{Text: `"Hello" OR wör*`, Channels: channels[:2], Limit: 9, Before: 7},
			`[{"terms":{"channel_id":["0","1"]}},{"term":{"terms":"hello"}},{"term":{"terms":"or"}},{"prefix":{"terms":"wor"}},{"range":{"seq":{"lt":7}}}]`},
		{events.SearchQuery{Text: "東京都 京", Channels: channels[:1], Limit: 9, Before: 1<<64 - 1},
			`[{"terms":{"channel_id":["0"]}},{"match_phrase":{"terms":"東京 京都"}},{"prefix":{"terms":"京"}}]`},
	} {
		_, err := s.SearchMessages(t.Context(), c.q)
		require.NoError(t, err)
		filter, err := json.Marshal(got["query"].(map[string]any)["bool"].(map[string]any)["filter"])
		require.NoError(t, err)
		require.JSONEq(t, c.want, string(filter))
		require.EqualValues(t, 10, got["size"])
	}
	_, err := s.SearchMessages(t.Context(), events.SearchQuery{Text: "a", Channels: channels, Limit: 1})
	require.NoError(t, err)
	access := got["query"].(map[string]any)["bool"].(map[string]any)["filter"].([]any)[0].(map[string]any)["bool"].(map[string]any)
	require.Len(t, access["should"], 2, "one filter takes 65,536 channels")
	require.EqualValues(t, 1, access["minimum_should_match"])
}

func TestBulkRequestsAreBounded(t *testing.T) {
	srv := newServer(t)
	s := openFake(t, srv, func(c *elasticsearch.Config) { c.BulkBytes, c.WaitVisible = 2_000, true })
	var sizes, items []int
	srv.refuse = func(r *http.Request, body []byte) (int, string) {
		if strings.HasSuffix(r.URL.Path, "_bulk") {
			sizes, items = append(sizes, len(body)), append(items, bytes.Count(body, []byte("\n"))/2)
			if r.URL.Query().Get("refresh") != "wait_for" || r.URL.Query().Get("require_alias") != "true" {
				return 400, failure("not_as_expected")
			}
		}
		return 0, ""
	}
	ms := messages(30)
	ms[13].Text = strings.Repeat("long ", 1_000)
	require.NoError(t, s.IndexMessages(t.Context(), ms))
	requireHolds(t, s, ms)
	large := 0
	for i, size := range sizes {
		if size > 2_000 {
			large++
			require.Equal(t, 1, items[i], "but for a single message that is larger")
		}
	}
	require.Equal(t, 1, large)
	require.Greater(t, len(sizes), 5)

	sizes, items = nil, nil
	srv.refuse = func(r *http.Request, body []byte) (int, string) { // a proxy that takes less
		if items = append(items, bytes.Count(body, []byte("\n"))/2); len(body) > 700 {
			return 413, "<html>"
		}
		return 0, ""
	}
	require.NoError(t, s.IndexMessages(t.Context(), ms[:4]))
	require.Equal(t, []int{4, 2, 1, 1, 2, 1, 1}, items)
	require.ErrorIs(t, s.IndexMessages(t.Context(), ms[13:14]), events.ErrTooLarge)
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		status   int
		kind     string
		want     error
		attempts int
	}{
		{429, "es_rejected_execution_exception", events.ErrUnavailable, 4},
		{503, "unavailable_shards_exception", events.ErrUnavailable, 4},
		{500, "something", events.ErrUnavailable, 4},
		{403, "cluster_block_exception", events.ErrUnavailable, 4},
		{403, "security_exception", events.ErrUnavailable, 4},
		{404, "resource_not_found_exception", events.ErrUnavailable, 4},
		{413, "too_large", events.ErrTooLarge, 1},
		{400, "document_parsing_exception", events.ErrInvalid, 1},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.kind), func(t *testing.T) {
			srv := newServer(t)
			s := openFake(t, srv)
			attempts := 0
			srv.refuse = func(*http.Request, []byte) (int, string) {
				attempts++
				return c.status, failure(c.kind)
			}
			err := s.IndexMessages(t.Context(), messages(1))
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, c.kind)
			require.ErrorContains(t, err, "so it is")
			require.Equal(t, c.attempts, attempts, "of a request")
			_, err = s.Checksums(t.Context(), stores.All)
			require.ErrorIs(t, err, c.want)
			_, err = s.Outdated(t.Context())
			require.ErrorIs(t, err, c.want)
			for _, f := range []func(context.Context) error{s.Refresh, s.Reset, s.Drop, s.Ping} {
				require.ErrorIs(t, f(t.Context()), c.want)
			}
			srv.refuse = nil

			attempts = 0
			srv.item = func(string) (int, string) { attempts++; return c.status, c.kind }
			require.ErrorIs(t, s.IndexMessages(t.Context(), messages(1)), c.want)
			require.Equal(t, c.attempts, attempts, "of an item")
		})
	}
}

// Only the items that were refused are sent again.
func TestSomeItemsAgain(t *testing.T) {
	srv := newServer(t)
	s := openFake(t, srv)
	sent := map[string]int{}
	srv.item = func(id string) (int, string) {
		if sent[id]++; sent[id] < 3 && strings.HasSuffix(id, "5") {
			return 429, "es_rejected_execution_exception"
		}
		return 0, ""
	}
	require.NoError(t, s.IndexMessages(t.Context(), messages(20)))
	requireHolds(t, s, messages(20))
	for id, n := range sent {
		want := 1
		if strings.HasSuffix(id, "5") {
			want = 3
		}
		require.Equal(t, want, n, id)
	}
}

func TestWhatCannotBeStored(t *testing.T) {
	srv := newServer(t)
	s := openFake(t, srv)
	for _, spoil := range []func(*events.Message){
		func(m *events.Message) { m.ID = "" },
		func(m *events.Message) { m.Seq = 0 },
		func(m *events.Message) { m.Seq = 1 << 63 },
		func(m *events.Message) { m.SentAt = m.SentAt.AddDate(10_000, 0, 0) },
	} {
		ms := messages(3)
		spoil(&ms[2])
		require.ErrorIs(t, s.IndexMessages(t.Context(), ms), events.ErrInvalid)
		require.Empty(t, srv.indices["messages-000001"].docs, "nothing is written")
	}
}

func TestOddAnswers(t *testing.T) {
	for _, answer := range []string{"", "{", `{"errors":true,"items":[]}`} {
		srv := newServer(t)
		s := openFake(t, srv)
		srv.refuse = func(*http.Request, []byte) (int, string) { return 200, answer }
		require.ErrorIs(t, s.IndexMessages(t.Context(), messages(1)), events.ErrUnavailable, "%q", answer)
	}
	srv := newServer(t)
	s := openFake(t, srv)
	srv.refuse = func(*http.Request, []byte) (int, string) { return 200, `{"a":{},"b":{}}` }
	_, err := elasticsearch.Open(t.Context(), elasticsearch.Config{URLs: []string{srv.URL}})
	require.ErrorIs(t, err, events.ErrConflict, "an alias of two")
	srv.refuse = func(*http.Request, []byte) (int, string) { return 400, `{"error":"a sentence"}` }
	require.ErrorContains(t, s.Ping(t.Context()), "a sentence")
}

func TestSlowServer(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	defer close(release)
	c := elasticsearch.Config{URLs: []string{srv.URL}, Attempts: 2, RetryWait: time.Microsecond, Timeout: 10 * time.Millisecond}
	_, err := elasticsearch.Open(t.Context(), c)
	require.ErrorIs(t, err, events.ErrUnavailable, "our own limit")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = elasticsearch.Open(ctx, c)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, events.ErrUnavailable)
}

func TestClosed(t *testing.T) {
	s := openFake(t, newServer(t))
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Ping(t.Context()), events.ErrUnavailable)
	require.ErrorIs(t, s.IndexMessages(t.Context(), messages(1)), events.ErrUnavailable)
}

func TestGenerations(t *testing.T) {
	srv := newServer(t)
	openFake(t, srv)
	require.NotContains(t, srv.indices, "messages-g2-000001")
	second := openFake(t, srv, func(c *elasticsearch.Config) { c.Generation = 2 })
	require.Contains(t, srv.indices, "messages-g2-000001")
	require.NoError(t, second.Drop(t.Context()))
	require.NotContains(t, srv.indices, "messages-g2-000001")
	require.Contains(t, srv.indices, "messages-000001")
	require.ErrorIs(t, second.Drop(t.Context()), events.ErrUnavailable)
}

func TestWritesMakeADeletedIndexAnew(t *testing.T) {
	srv := newServer(t)
	s := openFake(t, srv)
	delete(srv.indices, "messages-000001")
	delete(srv.aliases, "messages")
	require.ErrorIs(t, s.IndexMessages(t.Context(), messages(3)), events.ErrUnavailable)
	require.NoError(t, s.IndexMessages(t.Context(), messages(3)), "it was made anew")
	requireHolds(t, s, messages(3))
}

func TestAnIndexWithoutItsAlias(t *testing.T) {
	srv := newServer(t)
	openFake(t, srv)
	delete(srv.aliases, "messages")
	_, err := elasticsearch.Open(t.Context(), elasticsearch.Config{URLs: []string{srv.URL}})
	require.ErrorIs(t, err, events.ErrConflict)
}

func TestConfig(t *testing.T) {
	for _, c := range []elasticsearch.Config{
		{Index: "Upper"}, {Index: "-dash"}, {Index: "a,b"}, {Index: "a*"}, {Shards: -1}, {Timeout: -1},
		{CAFile: filepath.Join(t.TempDir(), "missing")}, {URLs: []string{"http://\x00"}},
	} {
		_, err := elasticsearch.Open(t.Context(), c)
		require.ErrorIs(t, err, events.ErrInvalid, "%+v", c)
	}
	_, err := elasticsearch.Open(t.Context(), elasticsearch.Config{URLs: []string{"http://127.0.0.1:1"}, Attempts: 2, RetryWait: time.Microsecond})
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.NotContains(t, err.Error(), "secret")
}

func TestCredentials(t *testing.T) {
	fake := newServer(t)
	var seen []string
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		fake.serve(w, r)
	}))
	defer srv.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600))
	for _, c := range []struct {
		config elasticsearch.Config
		want   string
	}{
		{elasticsearch.Config{}, ""},
		{elasticsearch.Config{Username: "user", Password: "secret"}, "Basic dXNlcjpzZWNyZXQ="},
		{elasticsearch.Config{APIKey: "a2V5"}, "APIKey a2V5"},
	} {
		seen = nil
		c.config.URLs, c.config.CAFile = []string{srv.URL}, ca
		s, err := elasticsearch.Open(t.Context(), c.config)
		require.NoError(t, err)
		require.NoError(t, s.Close())
		require.NotEmpty(t, seen)
		require.Equal(t, []string{c.want}, slices.Compact(seen))
	}
	_, err := elasticsearch.Open(t.Context(), elasticsearch.Config{URLs: []string{srv.URL}, Attempts: 1})
	require.ErrorIs(t, err, events.ErrUnavailable, "an authority that is not known")
}

// An index says of which log it is, until it is reset, and that is no message.
func TestOrigin(t *testing.T) {
	srv := newServer(t)
	s := openFake(t, srv)
	for _, c := range []struct{ claim, want string }{{"", ""}, {"one", "one"}, {"two", "one"}, {"", "one"}} {
		of, err := s.Claim(t.Context(), c.claim)
		require.NoError(t, err)
		require.Equal(t, c.want, of)
	}
	empty, err := s.Empty(t.Context())
	require.NoError(t, err)
	require.True(t, empty)
	require.NoError(t, s.IndexMessages(t.Context(), messages(1)))
	empty, err = s.Empty(t.Context())
	require.NoError(t, err)
	require.False(t, empty)
	require.NoError(t, s.Reset(t.Context()))
	of, err := s.Claim(t.Context(), "two")
	require.NoError(t, err)
	require.Equal(t, "two", of)
	srv.refuse = func(r *http.Request, _ []byte) (int, string) { // somebody else was faster
		if r.Method == http.MethodPut && srv.indices[srv.aliases["messages"]].origin == "" {
			srv.indices[srv.aliases["messages"]].origin = `{"epoch":"theirs"}`
		}
		return 0, ""
	}
	srv.indices[srv.aliases["messages"]].origin = ""
	of, err = s.Claim(t.Context(), "mine")
	require.NoError(t, err)
	require.Equal(t, "theirs", of)
	srv.refuse = func(*http.Request, []byte) (int, string) { return 503, failure("away") }
	_, err = s.Claim(t.Context(), "mine")
	require.ErrorIs(t, err, events.ErrUnavailable)
	_, err = s.Empty(t.Context())
	require.ErrorIs(t, err, events.ErrUnavailable)
}

// A process does not begin with credentials that are refused.
func TestRefusedCredentials(t *testing.T) {
	for status, kind := range map[int]string{401: "security_exception", 403: "security_exception"} {
		srv := newServer(t)
		srv.refuse = func(*http.Request, []byte) (int, string) { return status, failure(kind) }
		_, err := elasticsearch.Open(t.Context(), elasticsearch.Config{URLs: []string{srv.URL}, RetryWait: time.Microsecond})
		require.NotErrorIs(t, err, events.ErrUnavailable)
		require.ErrorContains(t, err, "ELASTICSEARCH_PASSWORD")
	}
}
