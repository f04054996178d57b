package platform_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/local/client"
	"github.com/chat-platform/chat/local/datadir"
	"github.com/chat-platform/chat/local/platform/platformtest"
	"github.com/chat-platform/chat/local/tools"
)

// The log is begun anew beside views that there are. The platform starts, says so,
// takes messages, shows nothing of the other log, and a rebuild makes all well,
// while it serves and when it does not.
func TestViewsOfAnotherLog(t *testing.T) {
	for _, online := range []bool{true, false} {
		p := platformtest.Start(t, "")
		alice := newClient(t, p, "alice")
		require.NoError(t, alice.CreateChannel(t.Context(), "ch_x", "X", ""))
		_, err := alice.Send(t.Context(), "ch_x", "of the other log", events.NewClientID())
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			found, err := alice.Search(t.Context(), "other", "", "")
			return err == nil && len(found.Hits) == 1
		}, waitLong, waitStep)
		require.Zero(t, p.Stop(t))
		require.NoError(t, os.RemoveAll(filepath.Join(p.Dir, datadir.Log)))

		p = platformtest.Start(t, p.Dir)
		for _, view := range []string{"messages", "metadata", "search"} {
			assert.Contains(t, p.Output(), "run chat rebuild "+view)
		}
		alice = newClient(t, p, "alice")
		require.NoError(t, alice.CreateChannel(t.Context(), "ch_x", "X", ""))
		sent, err := alice.Send(t.Context(), "ch_x", "of this log", events.NewClientID())
		require.NoError(t, err)
		for what, ask := range map[string]func() error{
			"history": func() error { _, err := alice.HistoryAfter(t.Context(), "ch_x", 0, 10); return err },
			"search":  func() error { _, err := alice.Search(t.Context(), "other", "", ""); return err },
		} {
			var problem *client.Problem
			if assert.ErrorAs(t, ask(), &problem, what) {
				assert.Equal(t, http.StatusServiceUnavailable, problem.Status, what)
				assert.Equal(t, "view_of_another_log", problem.Code, what)
			}
		}
		if !online {
			require.Zero(t, p.Stop(t))
		}
		var out bytes.Buffer
		code := process.Run("chat", process.World{Args: []string{"rebuild"}, Environ: []string{"DATA_DIR=" + p.Dir}, Stdout: &out, Stderr: &out, Signals: make(chan os.Signal)}, tools.Rebuild)
		require.Zero(t, code, out.String())
		assert.Equal(t, 3, strings.Count(out.String(), "is of another log"), out.String())
		if !online {
			p = platformtest.Start(t, p.Dir)
			alice = newClient(t, p, "alice")
		}
		page, err := alice.HistoryAfter(t.Context(), "ch_x", 0, 10)
		require.NoError(t, err)
		require.Len(t, page.Messages, 1)
		assert.Equal(t, sent.ID, page.Messages[0].ID)
		require.Eventually(t, func() bool {
			found, err := alice.Search(t.Context(), "log", "", "")
			return err == nil && len(found.Hits) == 1
		}, waitLong, waitStep)
		found, err := alice.Search(context.WithoutCancel(t.Context()), "other", "", "")
		require.NoError(t, err)
		assert.Empty(t, found.Hits)
		require.Zero(t, p.Stop(t))
	}
}
