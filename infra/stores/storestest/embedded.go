// Package storestest checks what the packages that open stores have in common.
package storestest

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/stores"
)

// Opener opens a kind of store, to write or to read.
type Opener struct {
	File, Variable string
	Open           func(ctx context.Context, store string, e stores.Embedded) (stores.View, error)
	Read           func(ctx context.Context, store string, e stores.Embedded) (stores.Opened, error)
}

// TestOpener checks the embedded store of a kind, and that a reader is nothing
// but a reader.
func TestOpener(t *testing.T, o Opener) {
	t.Run("in the data folder", func(t *testing.T) {
		for _, sync := range []bool{false, true} {
			dir := filepath.Join(t.TempDir(), "made", "on the way")
			s, err := o.Open(t.Context(), "sqlite", stores.Embedded{Dir: dir, SyncAlways: sync})
			require.NoError(t, err)
			require.NoError(t, s.Ping(t.Context()))
			require.FileExists(t, filepath.Join(dir, o.File))
			require.NoError(t, s.Close())
			require.ErrorIs(t, s.Ping(t.Context()), events.ErrUnavailable)
		}
	})
	t.Run("where nothing is said", func(t *testing.T) {
		t.Chdir(t.TempDir())
		s, err := o.Open(t.Context(), "", stores.Embedded{})
		require.NoError(t, err)
		require.FileExists(t, filepath.Join("data", o.File))
		require.NoError(t, s.Close())
	})
	t.Run("a reader cannot write", func(t *testing.T) { // I2
		s, err := o.Read(t.Context(), "sqlite", stores.Embedded{Dir: t.TempDir()})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		require.NoError(t, s.Ping(t.Context()))
		require.NotImplements(t, (*stores.View)(nil), s)
		require.NotImplements(t, (*interface{ Reset(context.Context) error })(nil), s)
		require.NotImplements(t, (*interface {
			PutMessages(context.Context, []events.Message) error
		})(nil), s)
		require.NotImplements(t, (*interface {
			PutChannels(context.Context, []events.Channel) error
		})(nil), s)
		require.NotImplements(t, (*interface {
			PutMembers(context.Context, []events.Member) error
		})(nil), s)
		require.NotImplements(t, (*interface {
			IndexMessages(context.Context, []events.Message) error
		})(nil), s)
	})
	t.Run("what cannot be opened is named", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		folder := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(folder, o.File), 0o700))
		for _, dir := range []string{file, folder} {
			_, err := o.Open(t.Context(), "sqlite", stores.Embedded{Dir: dir})
			require.ErrorContains(t, err, "DATA_DIR")
			require.ErrorContains(t, err, dir)
			_, err = o.Read(t.Context(), "sqlite", stores.Embedded{Dir: dir})
			require.ErrorContains(t, err, dir)
		}
		_, err := o.Open(t.Context(), "postgres", stores.Embedded{Dir: t.TempDir()})
		require.ErrorContains(t, err, o.Variable+` is "postgres", expected sqlite`)
	})
}
