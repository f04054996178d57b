package deadletters_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/local/datadir"
	"github.com/chat-platform/chat/local/deadletters"
	"github.com/chat-platform/chat/longrunning/source"
)

var quiet = slog.New(slog.DiscardHandler)

const traced = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// bench is a log, and a consumer "writer" whose sink refuses every event while
// status is not 0, with whatever reason says.
type bench struct {
	log    *natslog.Log
	source *source.Source
	sink   *httptest.Server
	status atomic.Int64
	reason string
	taken  atomic.Int64
}

func newBench(t *testing.T) *bench {
	b := &bench{log: natstest.Open(t), reason: "this can not be"}
	b.status.Store(http.StatusUnprocessableEntity)
	b.sink = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if status := int(b.status.Load()); status != 0 {
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]string{"code": "poison", "detail": b.reason})
			return
		}
		b.taken.Add(1)
	}))
	t.Cleanup(b.sink.Close)
	var err error
	b.source, err = source.New(b.log, source.Config{Stream: events.StreamMessages, Consumer: "writer", Sink: b.sink.URL}, source.Options{Logger: quiet})
	require.NoError(t, err)
	return b
}

func (b *bench) redriver(l natslog.DeadLetter) (deadletters.Redriver, error) {
	if l.Consumer != "writer" {
		return nil, events.Invalid("unknown_consumer", "", "nobody knows %q", l.Consumer)
	}
	return b.source, nil
}

func (b *bench) direct() *deadletters.Direct { return deadletters.NewDirect(b.log, b.redriver, quiet) }

func sent(n int) events.Event {
	return events.Event{
		ID: fmt.Sprintf("evt_%d", n), Source: "/test", Type: events.TypeMessageSent, Subject: "messages.send.ch_a", PartitionKey: "ch_a",
		Time: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), TraceParent: traced, Data: fmt.Appendf(nil, `{"n":%d}`, n),
	}
}

// poison publishes the first n events and lets the source bury them all.
func (b *bench) poison(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		_, err := b.log.Publish(t.Context(), sent(i))
		require.NoError(t, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.source.Run(ctx) }()
	assert.Eventually(t, func() bool {
		last, err := b.log.LastSequence(t.Context(), events.StreamDeadLetters)
		return err == nil && last == uint64(n)
	}, time.Minute, 5*time.Millisecond)
	stop()
	require.NoError(t, <-done)
}

// bury makes a dead letter of a consumer that nobody runs.
func (b *bench) bury(t *testing.T, consumer, reason string) {
	t.Helper()
	c, err := b.log.Consumer(t.Context(), natslog.ConsumerConfig{Stream: events.StreamMessages, Name: consumer})
	require.NoError(t, err)
	defer c.Close()
	ds, err := c.Fetch(t.Context(), 1, time.Minute)
	require.NoError(t, err)
	require.Len(t, ds, 1)
	require.NoError(t, b.log.PublishDead(t.Context(), ds[0], natslog.DeadReason{Reason: reason, Attempts: 1}))
}

func (b *bench) letters(t *testing.T) int {
	t.Helper()
	ds, err := b.log.DeadLetters(t.Context(), "", 0, natslog.DeadLettersMost)
	require.NoError(t, err)
	return len(ds)
}

// remote serves the letters as a platform does, and finds them by its file.
func remote(t *testing.T, letters deadletters.Letters) *deadletters.Remote {
	t.Helper()
	h := deadletters.Handler(letters, quiet)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, key, _ := r.BasicAuth()
		assert.Equal(t, "operator:secret", user+":"+key)
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return ofFile(t, strings.Replace(srv.URL, "http://", "http://operator:secret@", 1)+"\n")
}

func ofFile(t *testing.T, content string) *deadletters.Remote {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, datadir.Internal), []byte(content), 0o600))
	r, err := deadletters.OfPlatform(dir)
	require.NoError(t, err)
	return r
}

func run(t *testing.T, l deadletters.Letters, c deadletters.Command) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := deadletters.Run(t.Context(), l, c, &out)
	return out.String(), err
}

// One operator's afternoon, directly on the log and through a platform alike.
func TestCommands(t *testing.T) {
	for name, letters := range map[string]func(*testing.T, *bench) deadletters.Letters{
		"direct": func(_ *testing.T, b *bench) deadletters.Letters { return b.direct() },
		"remote": func(t *testing.T, b *bench) deadletters.Letters { return remote(t, b.direct()) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			l := letters(t, b)
			for _, verb := range []string{deadletters.List, deadletters.Redrive, deadletters.Discard} {
				out, err := run(t, l, deadletters.Command{Verb: verb, All: true})
				require.NoError(t, err)
				assert.Equal(t, "There are no dead letters.\n", out)
			}
			b.poison(t, 5)

			out, err := run(t, l, deadletters.Command{Verb: deadletters.List})
			require.NoError(t, err)
			rows := strings.Split(strings.TrimSpace(out), "\n")
			require.Len(t, rows, 6)
			assert.Regexp(t, `^SEQ +GIVEN UP +CONSUMER +STATUS +TRIES +EVENT +SUBJECT +REASON$`, rows[0])
			assert.Regexp(t, `^1 +2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d +writer +422 Unprocessable Entity +1 +MESSAGES:1 +messages.send.ch_a +poison: this can not be$`, rows[1])
			out, err = run(t, l, deadletters.Command{Verb: deadletters.List, Consumer: "reader"})
			require.NoError(t, err)
			assert.Equal(t, "There are no dead letters.\n", out)
			out, err = run(t, l, deadletters.Command{Verb: deadletters.List, Limit: 2, After: 1})
			require.NoError(t, err)
			assert.Regexp(t, `(?s)\n2 .*\n3 .*There are more: -after 3\n$`, out)

			out, err = run(t, l, deadletters.Command{Verb: deadletters.Show, Seq: 2})
			require.NoError(t, err)
			for _, want := range []string{
				`consumer +writer\n`, `reason +poison: this can not be\n`, `status +422`, `event +MESSAGES:2 on messages.send.ch_a\n`,
				`trace +` + traced, `"id": "evt_1"`, `"sequence": "00000000000000000002"`, `"n": 1`,
			} {
				assert.Regexp(t, want, out)
			}

			out, err = run(t, l, deadletters.Command{Verb: deadletters.Redrive, Seq: 1})
			require.ErrorContains(t, err, "1 of 1")
			assert.Equal(t, "1  writer  refused again with 422 Unprocessable Entity: poison: this can not be\n", out)
			_, err = run(t, l, deadletters.Command{Verb: deadletters.Redrive, All: true})
			require.ErrorContains(t, err, "5 of 5")
			assert.Equal(t, 5, b.letters(t), "what is refused again stays")

			b.status.Store(http.StatusServiceUnavailable)
			out, err = run(t, l, deadletters.Command{Verb: deadletters.Redrive, All: true})
			require.ErrorIs(t, err, events.ErrUnavailable)
			assert.Equal(t, 1, strings.Count(out, "\n"), "a sink that is away is not asked again: %s", out)

			b.status.Store(0)
			out, err = run(t, l, deadletters.Command{Verb: deadletters.Redrive, Seq: 3})
			require.NoError(t, err)
			assert.Equal(t, "3  writer  redriven\n", out)
			_, err = run(t, l, deadletters.Command{Verb: deadletters.Redrive, Seq: 3})
			require.ErrorIs(t, err, events.ErrNotFound)
			_, err = run(t, l, deadletters.Command{Verb: deadletters.Show, Seq: 3})
			require.ErrorIs(t, err, events.ErrNotFound)
			out, err = run(t, l, deadletters.Command{Verb: deadletters.Discard, Seq: 4})
			require.NoError(t, err)
			assert.Equal(t, "4  discarded\n", out)
			_, err = run(t, l, deadletters.Command{Verb: deadletters.Discard, Seq: 4})
			require.ErrorIs(t, err, events.ErrNotFound)
			out, err = run(t, l, deadletters.Command{Verb: deadletters.Redrive, All: true, Limit: 1})
			require.NoError(t, err)
			assert.Equal(t, "1  writer  redriven\n", out)
			out, err = run(t, l, deadletters.Command{Verb: deadletters.Redrive, All: true, Consumer: "writer"})
			require.NoError(t, err)
			assert.Equal(t, "2  writer  redriven\n5  writer  redriven\n", out)
			assert.Zero(t, b.letters(t))
			assert.EqualValues(t, 4, b.taken.Load())
		})
	}
}

func TestJSON(t *testing.T) {
	b := newBench(t)
	b.poison(t, 3)
	l := remote(t, b.direct())
	decode := func(out string) (all []map[string]any) {
		for line := range strings.Lines(out) {
			var o map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &o))
			all = append(all, o)
		}
		return all
	}
	out, err := run(t, l, deadletters.Command{Verb: deadletters.List, JSON: true, Limit: 2})
	require.NoError(t, err)
	all := decode(out)
	require.Len(t, all, 2)
	assert.Equal(t, "evt_0", all[0]["event_id"])
	assert.NotContains(t, all[0], "event", "a list has no content")
	out, err = run(t, l, deadletters.Command{Verb: deadletters.Show, Seq: 1, JSON: true})
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"n": 0.0}, decode(out)[0]["event"].(map[string]any)["data"])
	out, err = run(t, l, deadletters.Command{Verb: deadletters.Redrive, Seq: 1, JSON: true})
	require.Error(t, err)
	assert.Equal(t, map[string]any{"seq": 1.0, "consumer": "writer", "redriven": false, "status": 422.0, "reason": "poison: this can not be"}, decode(out)[0])
	out, err = run(t, l, deadletters.Command{Verb: deadletters.Discard, All: true, JSON: true})
	require.NoError(t, err)
	assert.Len(t, decode(out), 3)
	out, err = run(t, l, deadletters.Command{Verb: deadletters.List, JSON: true})
	require.NoError(t, err)
	assert.Empty(t, out)
}

// More letters than a page holds.
func TestAllMeansAll(t *testing.T) {
	b := newBench(t)
	b.poison(t, 250)
	b.status.Store(0)
	out, err := run(t, b.direct(), deadletters.Command{Verb: deadletters.Redrive, All: true})
	require.NoError(t, err)
	assert.Equal(t, 250, strings.Count(out, "redriven\n"))
	assert.Zero(t, b.letters(t))
}

// What was refused may be anything, and must do nothing to a terminal.
func TestForeignContent(t *testing.T) {
	b := newBench(t)
	b.reason = "\x1b[31mred\u009b2J" + strings.Repeat("ü", 100)
	odd := sent(0)
	odd.Data = []byte("no JSON \x1b[2J")
	_, err := b.log.Publish(t.Context(), odd)
	require.NoError(t, err)
	b.bury(t, "writer", b.reason)
	b.bury(t, "stranger", "who?")
	for _, l := range []deadletters.Letters{b.direct(), remote(t, b.direct())} {
		out, err := run(t, l, deadletters.Command{Verb: deadletters.List})
		require.NoError(t, err)
		assert.Contains(t, out, "red·2J")
		assert.Contains(t, out, "…")
		shown, err := run(t, l, deadletters.Command{Verb: deadletters.Show, Seq: 1})
		require.NoError(t, err)
		assert.Contains(t, shown, "ce-id: evt_0")
		assert.Contains(t, shown, `"no JSON \x1b[2J"`)
		assert.Contains(t, shown, "is not JSON")
		for _, s := range []string{out, shown} {
			assert.NotContains(t, s, "\x1b")
			assert.NotContains(t, s, "\u009b")
		}
		whole, err := run(t, l, deadletters.Command{Verb: deadletters.Show, Seq: 1, JSON: true})
		require.NoError(t, err)
		var got deadletters.Letter
		require.NoError(t, json.Unmarshal([]byte(whole), &got))
		assert.Equal(t, odd.Data, got.Data, "programs get every byte")

		b.status.Store(0)
		out, err = run(t, l, deadletters.Command{Verb: deadletters.Redrive, All: true})
		require.ErrorContains(t, err, "2 of 2")
		assert.Contains(t, out, `nobody knows "stranger"`)
	}
	assert.Zero(t, b.taken.Load())
}

func TestValidate(t *testing.T) {
	for _, c := range []deadletters.Command{
		{}, {Verb: "burn"}, {Verb: deadletters.Show}, {Verb: deadletters.Redrive}, {Verb: deadletters.Discard},
		{Verb: deadletters.Discard, Seq: 1, All: true}, {Verb: deadletters.List, Limit: -1},
	} {
		_, err := run(t, nil, c)
		require.ErrorIs(t, err, events.ErrInvalid, "%+v", c)
	}
}

func TestHandlerRefuses(t *testing.T) {
	b := newBench(t)
	h := deadletters.Handler(b.direct(), quiet)
	for _, tt := range []struct {
		method, target string
		status         int
		code           string
	}{
		{"GET", "/admin/dead?limit=1001", 400, "invalid_limit"},
		{"GET", "/admin/dead?after=-1", 400, "invalid_after"},
		{"GET", "/admin/dead?consumer=a.b", 400, "invalid_consumer"},
		{"GET", "/admin/dead/one", 400, "invalid_seq"},
		{"POST", "/admin/dead/x/redrive", 400, "invalid_seq"},
		{"DELETE", "/admin/dead/-1", 400, "invalid_seq"},
		{"GET", "/admin/dead/1", 404, "dead_letter_not_found"},
		{"POST", "/admin/dead/1/redrive", 404, "dead_letter_not_found"},
		{"DELETE", "/admin/dead/1", 404, "dead_letter_not_found"},
		{"PUT", "/admin/dead", 405, "method_not_allowed"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tt.method, tt.target, nil))
		assert.Equal(t, tt.status, w.Code, "%s %s", tt.method, tt.target)
		assert.Contains(t, w.Body.String(), `"code":"`+tt.code+`"`, "%s %s", tt.method, tt.target)
	}
}

func TestNoPlatform(t *testing.T) {
	_, err := deadletters.OfPlatform(t.TempDir())
	require.ErrorIs(t, err, events.ErrUnavailable)
	assert.ErrorContains(t, err, "no platform runs")

	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, datadir.Internal), 0o700))
	_, err = deadletters.OfPlatform(dir)
	require.Error(t, err)
	dir = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, datadir.Internal), []byte("here"), 0o600))
	_, err = deadletters.OfPlatform(dir)
	require.ErrorIs(t, err, events.ErrInvalid)

	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	r := ofFile(t, strings.Replace(gone.URL, "http://", "http://operator:secret@", 1))
	err = r.Discard(t.Context(), 1)
	require.ErrorIs(t, err, events.ErrUnavailable)
	assert.ErrorContains(t, err, "has it ended?")
	assert.NotContains(t, err.Error(), "secret")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, r.Discard(ctx, 1), context.Canceled)
}

// Something else may have taken the port since.
func TestStrangersAnswer(t *testing.T) {
	answer := func(status int, body string) *deadletters.Remote {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}))
		t.Cleanup(srv.Close)
		u, err := url.Parse(srv.URL)
		require.NoError(t, err)
		return ofFile(t, u.String())
	}
	for _, tt := range []struct {
		status int
		body   string
		kind   error
	}{
		{403, `{"code":"key_wrong","detail":"no"}`, events.ErrForbidden},
		{503, `{"code":"unavailable","detail":"no"}`, events.ErrUnavailable},
		{400, `{"code":"invalid_seq","detail":"no"}`, events.ErrInvalid},
		{404, `{"code":"not_found","detail":"no"}`, events.ErrNotFound},
		{500, `{"code":"internal","detail":"no"}`, nil},
		{404, `not found`, nil},
		{200, `hello`, nil},
	} {
		_, err := answer(tt.status, tt.body).Show(t.Context(), 1)
		require.Error(t, err)
		if tt.kind != nil {
			require.ErrorIs(t, err, tt.kind)
		}
	}
}
