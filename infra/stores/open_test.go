package stores_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/stores"
)

func TestFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	path, err := stores.Embedded{Dir: dir}.File("x.db", 1)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "x.db"), path)
	require.DirExists(t, dir)
	path, err = stores.Embedded{Dir: dir}.File("x.db", 12)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "x.12.db"), path)

	t.Chdir(t.TempDir())
	path, err = stores.Embedded{}.File("x.db", 1)
	require.NoError(t, err)
	require.Equal(t, filepath.Join("data", "x.db"), path)

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = stores.Embedded{Dir: file}.File("x.db", 1)
	require.ErrorContains(t, err, "DATA_DIR")
	require.ErrorContains(t, err, file)
}

func TestKnown(t *testing.T) {
	for _, good := range []string{"", "sqlite", "mongodb"} {
		require.NoError(t, stores.Known("STORE", good, "sqlite", "mongodb"))
	}
	require.EqualError(t, stores.Known("STORE", "Mongo", "sqlite", "mongodb"), `STORE is "Mongo", expected sqlite or mongodb`)
}
