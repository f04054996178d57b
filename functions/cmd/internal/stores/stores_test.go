package stores_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/cmd/internal/start"
	"github.com/chat-platform/chat/functions/cmd/internal/stores"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/infra/process"
)

var errDone = errors.New("that was all")

// run runs a writer whose function is never served, and gives its exit code and
// what it said.
func run(environ []string, build start.Build) (int, string) {
	var said strings.Builder
	code := process.Run("writer", process.World{Environ: environ, Stdout: io.Discard, Stderr: &said, Signals: make(chan os.Signal)}, start.Writer(build))
	return code, said.String()
}

func TestOpenInTheDataFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on the way")
	var ping func() error
	code, said := run([]string{"DATA_DIR=" + dir}, func(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
		messages, err := stores.Messages(ctx, p)
		require.NoError(t, err)
		_, err = stores.Metadata(ctx, p)
		require.NoError(t, err)
		_, err = stores.Search(ctx, p)
		require.NoError(t, err)
		ping = func() error { return messages.Ping(context.WithoutCancel(ctx)) }
		require.NoError(t, ping())
		return nil, errDone
	})
	require.Equal(t, 1, code)
	require.Contains(t, said, errDone.Error())
	require.ErrorIs(t, ping(), events.ErrUnavailable, "closed at the end")
	for _, name := range []string{"messages.db", "metadata.db", "search.db"} {
		require.FileExists(t, filepath.Join(dir, name))
	}
}

func TestAFolderThatCannotBeUsedIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, "messages.db"), 0o700))
	for _, dir := range []string{file, folder} {
		code, said := run([]string{"DATA_DIR=" + dir}, func(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
			_, err := stores.Messages(ctx, p)
			return nil, err
		})
		require.Equal(t, 1, code)
		require.Contains(t, said, dir)
		require.Contains(t, said, "DATA_DIR")
	}
}
