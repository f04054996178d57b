package datadir_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/local/datadir"
)

func TestOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on the way")
	for range 2 { // the second time it is there
		require.NoError(t, datadir.Open(dir))
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, left, "the probe is gone")
	}
	info, err := os.Stat(dir)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm(), "what people say is not for every user of the machine")
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for name, dir := range map[string]string{
		"a file":           file,
		"below a file":     filepath.Join(file, "data"),
		"nothing writable": "/proc", // no user writes there, nor makes it where there is none
	} {
		t.Run(name, func(t *testing.T) {
			err := datadir.Open(dir)
			require.ErrorContains(t, err, dir)
			require.ErrorContains(t, err, "DATA_DIR")
		})
	}
}
