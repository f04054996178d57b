package platform_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/stores/messages"
	"github.com/chat-platform/chat/infra/stores/metadata"
	"github.com/chat-platform/chat/infra/stores/search"
	"github.com/chat-platform/chat/local/client"
	"github.com/chat-platform/chat/local/platform/platformtest"
	"github.com/chat-platform/chat/local/tools"
	"github.com/chat-platform/chat/local/views"
)

// byName takes the token for the user's name.
type byName struct{}

func (byName) Verify(_ context.Context, token string) (events.Caller, error) {
	return events.Caller{User: events.UserID(token), Name: token}, nil
}

// alone is the functions as they run elsewhere: on the log and the views of a
// platform, and without its archive.
type alone struct {
	http.Handler
	log   *natslog.Log
	close func()
}

func functionsOf(t *testing.T, natsURL, dir string) alone {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	log, err := natslog.Open(t.Context(), natslog.Config{URL: natsURL, DedupWindow: time.Second, Logger: quiet})
	require.NoError(t, err)
	host, at := stores.Host{Name: "functions", Log: quiet, Views: log}, views.Embedded(dir)
	ms, err := messages.Open(t.Context(), at.Messages, host)
	require.NoError(t, err)
	md, err := metadata.Open(t.Context(), at.Metadata, host)
	require.NoError(t, err)
	index, err := search.Open(t.Context(), at.Search, host)
	require.NoError(t, err)
	mux := functions.NewMux(functions.Public(functions.Deps{
		Log: log, Messages: ms, Metadata: md, Index: index, Serving: functions.Serving{Verifier: byName{}, Logger: quiet},
	})...)
	end := sync.OnceFunc(func() {
		assert.NoError(t, ms.Close())
		assert.NoError(t, md.Close())
		assert.NoError(t, index.Close())
		assert.NoError(t, log.Close())
	})
	t.Cleanup(end)
	return alone{mux, log, end}
}

func (f alone) call(t *testing.T, method, path, body string) (status int, answer map[string]any) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer alice")
	r.Header.Set("Content-Type", events.ContentTypeJSON)
	rec := httptest.NewRecorder()
	f.ServeHTTP(rec, r)
	assert.NoError(t, json.Unmarshal(rec.Body.Bytes(), &answer), "%s %s: %s", method, path, rec.Body)
	return rec.Code, answer
}

// asks makes every query, and gives how many messages the channel's history has.
func (f alone) asks(t *testing.T) (count int) {
	t.Helper()
	ok := func(path string) map[string]any {
		t.Helper()
		status, answer := f.call(t, http.MethodGet, path, "")
		assert.Equal(t, http.StatusOK, status, "%s: %v", path, answer)
		return answer
	}
	history := "/v1/channels/ch_x/messages"
	for _, path := range []string{"/v1/channels", "/v1/channels?scope=public", "/v1/search?q=word", history, history + "?before=70", history + "?around=30"} {
		ok(path)
	}
	for after, more := uint64(0), true; more && !t.Failed(); {
		page := ok(fmt.Sprintf("%s?after=%d&limit=100", history, after))
		ms, _ := page["messages"].([]any)
		for _, m := range ms {
			after = uint64(m.(map[string]any)["seq"].(float64))
			count++
		}
		more = page["has_more_after"] == true
	}
	return count
}

// resends a message under an id that tells nothing of its age.
func (f alone) resends(t *testing.T, id events.ClientID) {
	t.Helper()
	require.Eventually(t, func() bool { // deciding has to be quick where the window is short
		status, _ := f.call(t, http.MethodPost, "/v1/channels/ch_x/messages", fmt.Sprintf(`{"text":"word 0","client_id":%q}`, id))
		require.NotEqual(t, http.StatusAccepted, status, "it is there already")
		return status == http.StatusOK
	}, waitLong, waitStep)
}

// rebuildMessages lets the running platform rebuild the messages view.
func rebuildMessages(t *testing.T, dir string) {
	t.Helper()
	var out strings.Builder
	code := process.Run("chat", process.World{Args: []string{"rebuild", "messages"}, Environ: []string{"DATA_DIR=" + dir}, Stdout: &out, Stderr: &out, Signals: make(chan os.Signal)}, tools.Rebuild)
	require.Zero(t, code, out.String())
	t.Log(out.String())
}

func TestMessagesMoveToABucketBesideTheLog(t *testing.T) {
	archiveAndRebuild(t, "nats://segments")
}

// Messages are taken out of the stream all the time. Functions know no archive and
// answer all the same, whole: while views are rebuilt and change over, while a
// consumer is made anew, and after a rebuild of a view that was removed, which brings
// back everything from archive and stream.
func archiveAndRebuild(t *testing.T, archive string, environ ...string) {
	server := natstest.Start(t)
	dir := t.TempDir()
	environ = append(environ, "NATS_URL="+server.ClientURL(), "DEDUP_WINDOW=1s", "ARCHIVE_URL="+archive,
		"ARCHIVE_KEEP_MESSAGES=20", "ARCHIVE_SEGMENT_EVENTS=10", "ARCHIVE_INTERVAL=50ms", "LOG_LEVEL=ERROR")
	p := platformtest.Start(t, dir, environ...)
	alice := newClient(t, p, "alice")
	require.NoError(t, alice.CreateChannel(t.Context(), "ch_x", "X", ""))
	const old events.ClientID = "0b6a2d62-2b1c-4a3d-9d3f-3a3f6b3e1a11"
	sent := 0
	send := func(n int) {
		batch := make([]client.Outgoing, n)
		for i := range batch {
			batch[i] = client.Outgoing{ChannelID: "ch_x", Text: fmt.Sprint("word ", sent+i), ClientID: events.NewClientID()}
		}
		if sent == 0 {
			batch[0].ClientID = old
		}
		assert.NoError(t, client.Retry(t.Context(), waitLong, func(ctx context.Context) error {
			_, err := alice.SendBatch(ctx, batch)
			return err
		}))
		sent += n
	}
	send(150)
	f := functionsOf(t, server.ClientURL(), dir)
	trimmed := func(to int) {
		t.Helper()
		require.Eventually(t, func() bool {
			first, err := f.log.FirstSequence(t.Context(), events.StreamMessages)
			return err == nil && first > uint64(to)
		}, waitLong, waitStep)
	}
	trimmed(110)
	require.Equal(t, sent, f.asks(t))
	f.resends(t, old)

	done := make(chan struct{})
	var busy sync.WaitGroup
	busy.Go(func() {
		for {
			send(10)
			f.asks(t)
			select {
			case <-done:
				return
			default:
			}
		}
	})
	rebuildMessages(t, dir)
	close(done)
	busy.Wait()
	require.FileExists(t, filepath.Join(dir, "messages.2.db"))
	require.Equal(t, sent, f.asks(t), "of the generation that is live now")
	trimmed(sent - 40)
	f.resends(t, old)

	for _, consumer := range []string{events.ConsumerMessages, events.ConsumerSearch} {
		require.NoError(t, f.log.DeleteConsumer(t.Context(), events.StreamMessages, consumer))
	}
	require.Equal(t, sent, f.asks(t))
	f.resends(t, old)
	send(20)
	trimmed(sent - 40) // there are consumers again
	require.Equal(t, sent, f.asks(t))

	require.Zero(t, p.Stop(t), p.Output())
	f.close()
	files, err := filepath.Glob(filepath.Join(dir, "messages*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		require.NoError(t, os.Remove(file))
	}
	p = platformtest.Start(t, dir, environ...)
	rebuildMessages(t, dir)
	f = functionsOf(t, server.ClientURL(), dir)
	require.Equal(t, sent, f.asks(t))
	f.resends(t, old)
	require.NotContains(t, p.Output(), "archiver: round failed")
}
