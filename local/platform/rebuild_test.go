package platform_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/local/datadir"
	"github.com/chat-platform/chat/local/platform/platformtest"
	"github.com/chat-platform/chat/local/rebuild"
	"github.com/chat-platform/chat/local/tools"
)

// Every view is rebuilt by one command while people talk: each finds in the
// history whatever was answered to before, at every moment.
func TestRebuildWhilePeopleTalk(t *testing.T) {
	p := platformtest.Start(t, "")
	alice := newClient(t, p, "alice")
	require.NoError(t, alice.CreateChannel(t.Context(), "ch_x", "X", ""))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var talking sync.WaitGroup
	sent := 0
	talking.Go(func() {
		for after := uint64(0); ctx.Err() == nil; sent++ {
			s, err := alice.Send(t.Context(), "ch_x", fmt.Sprint("word number ", sent), events.NewClientID())
			if !assert.NoError(t, err) {
				return
			}
			page, err := alice.HistoryAfter(t.Context(), "ch_x", after, 100)
			if !assert.NoError(t, err) || !assert.Len(t, page.Messages, 1) || !assert.Equal(t, s.Seq, page.Messages[0].Seq) {
				return
			}
			after = s.Seq
		}
	})
	var out bytes.Buffer
	code := process.Run("chat", process.World{Args: []string{"rebuild"}, Environ: []string{"DATA_DIR=" + p.Dir}, Stdout: &out, Stderr: &out, Signals: make(chan os.Signal)}, tools.Rebuild)
	require.Zero(t, code, out.String())
	assert.Equal(t, 3, strings.Count(out.String(), "equal before and after"), out.String())
	stop()
	talking.Wait()
	require.Positive(t, sent)
	for _, view := range []string{"messages", "metadata", "search"} {
		assert.NoFileExists(t, filepath.Join(p.Dir, view+".db"))
		assert.FileExists(t, filepath.Join(p.Dir, view+".2.db"))
	}
	require.Zero(t, p.Stop(t))

	p = platformtest.Start(t, p.Dir)
	alice = newClient(t, p, "alice")
	require.Eventually(t, func() bool {
		found, err := alice.Search(t.Context(), "word", "", "")
		return err == nil && len(found.Hits) > 0 && found.Hits[0].Message.Text == fmt.Sprint("word number ", sent-1)
	}, waitLong, waitStep)
	page, err := alice.HistoryAfter(t.Context(), "ch_x", 0, 100)
	require.NoError(t, err)
	assert.Len(t, page.Messages, min(sent, 100))
}

// Who hangs up interrupts; the same command goes on.
func TestRebuildInterrupted(t *testing.T) {
	p := platformtest.Start(t, "")
	alice := newClient(t, p, "alice")
	require.NoError(t, alice.CreateChannel(t.Context(), "ch_x", "X", ""))
	ctx, stop := context.WithCancel(t.Context())
	err := rebuild.Remote(ctx, p.Dir, "metadata", func(r rebuild.Report) {
		if r.Progress != nil && r.Progress.Phase == "comparing" {
			stop()
		}
	})
	require.ErrorIs(t, err, context.Canceled)
	var results []rebuild.Result
	require.Eventually(t, func() bool { // the platform may not have noticed yet
		return rebuild.Remote(t.Context(), p.Dir, "metadata", func(r rebuild.Report) {
			if r.Result != nil {
				results = append(results, *r.Result)
			}
		}) == nil
	}, waitLong, waitStep)
	require.Len(t, results, 1)
	assert.Equal(t, 2, results[0].Generation)

	b, err := os.ReadFile(filepath.Join(p.Dir, datadir.Internal))
	require.NoError(t, err)
	at := strings.TrimSpace(string(b)) + rebuild.Path
	for _, tt := range []struct {
		method, url string
		status      int
	}{
		{http.MethodPost, at + "?view=everything", http.StatusBadRequest},
		{http.MethodGet, at + "?view=all", http.StatusBadRequest},
		{http.MethodPost, "http://" + at[strings.Index(at, "@")+1:] + "?view=all", http.StatusForbidden},
		{http.MethodPost, p.URL + rebuild.Path + "?view=all", http.StatusMethodNotAllowed},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, tt.url, nil)
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		assert.Equal(t, tt.status, res.StatusCode, "%s %s", tt.method, tt.url)
	}
	err = rebuild.Remote(t.Context(), p.Dir, "everything", nil)
	require.ErrorIs(t, err, events.ErrInvalid)
	require.ErrorContains(t, err, `"everything"`)
	require.ErrorIs(t, rebuild.Remote(t.Context(), t.TempDir(), "all", nil), rebuild.ErrNoPlatform)
}
