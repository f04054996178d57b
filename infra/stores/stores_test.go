package stores_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/elasticsearch"
	"github.com/chat-platform/chat/infra/mongodb"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/stores/messages"
	"github.com/chat-platform/chat/infra/stores/metadata"
	"github.com/chat-platform/chat/infra/stores/search"
)

// opener opens one kind of store, to write or to read.
type opener struct {
	file, variable string
	open           func(ctx context.Context, store string, e stores.Embedded) (stores.View, error)
	read           func(ctx context.Context, store string, e stores.Embedded) (stores.Opened, error)
}

func openers() map[string]opener {
	host := stores.Host{Name: "test", Registerer: prometheus.NewRegistry()}
	return map[string]opener{
		"messages": {"messages.db", "STORE_MESSAGES",
			func(ctx context.Context, store string, e stores.Embedded) (stores.View, error) {
				return messages.Open(ctx, messages.Config{Store: store, Embedded: e}, host)
			}, func(ctx context.Context, store string, e stores.Embedded) (stores.Opened, error) {
				return messages.OpenReader(ctx, messages.Config{Store: store, Embedded: e}, host)
			}},
		"metadata": {"metadata.db", "STORE_METADATA",
			func(ctx context.Context, store string, e stores.Embedded) (stores.View, error) {
				return metadata.Open(ctx, metadata.Config{Store: store, Embedded: e}, host)
			}, func(ctx context.Context, store string, e stores.Embedded) (stores.Opened, error) {
				return metadata.OpenReader(ctx, metadata.Config{Store: store, Embedded: e}, host)
			}},
		"search": {"search.db", "STORE_SEARCH",
			func(ctx context.Context, store string, e stores.Embedded) (stores.View, error) {
				return search.Open(ctx, search.Config{Store: store, Embedded: e}, host)
			}, func(ctx context.Context, store string, e stores.Embedded) (stores.Opened, error) {
				return search.OpenReader(ctx, search.Config{Store: store, Embedded: e}, host)
			}},
	}
}

func TestEmbedded(t *testing.T) {
	for name, o := range openers() {
		t.Run(name, func(t *testing.T) {
			for _, sync := range []bool{false, true} {
				dir := filepath.Join(t.TempDir(), "made", "on the way")
				s, err := o.open(t.Context(), "sqlite", stores.Embedded{Dir: dir, SyncAlways: sync})
				require.NoError(t, err)
				require.NoError(t, s.Ping(t.Context()))
				require.FileExists(t, filepath.Join(dir, o.file))
				require.NoError(t, s.Close())
				require.ErrorIs(t, s.Ping(t.Context()), events.ErrUnavailable)
			}
			t.Chdir(t.TempDir())
			s, err := o.open(t.Context(), "", stores.Embedded{})
			require.NoError(t, err)
			require.FileExists(t, filepath.Join("data", o.file), "where nothing is said")
			require.NoError(t, s.Close())
		})
	}
}

// I2: whoever opens a store to read cannot get at what writes.
func TestAReaderCannotWrite(t *testing.T) {
	for name, o := range openers() {
		t.Run(name, func(t *testing.T) {
			s, err := o.read(t.Context(), "sqlite", stores.Embedded{Dir: t.TempDir()})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			require.NoError(t, s.Ping(t.Context()))
			for _, writes := range []func() bool{
				func() bool { _, ok := s.(stores.View); return ok },
				func() bool { _, ok := s.(interface{ Reset(context.Context) error }); return ok },
				func() bool {
					_, ok := s.(interface {
						PutMessages(context.Context, []events.Message) error
					})
					return ok
				},
				func() bool {
					_, ok := s.(interface {
						PutMembers(context.Context, []events.Member) error
					})
					return ok
				},
				func() bool {
					_, ok := s.(interface {
						IndexMessages(context.Context, []events.Message) error
					})
					return ok
				},
			} {
				require.False(t, writes())
			}
		})
	}
}

func TestWhatCannotBeOpened(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for name, o := range openers() {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			require.NoError(t, os.Mkdir(filepath.Join(folder, o.file), 0o700))
			for _, dir := range []string{file, folder} {
				_, err := o.open(t.Context(), "sqlite", stores.Embedded{Dir: dir})
				require.ErrorContains(t, err, "DATA_DIR")
				require.ErrorContains(t, err, dir)
				_, err = o.read(t.Context(), "sqlite", stores.Embedded{Dir: dir})
				require.ErrorContains(t, err, dir)
			}
			_, err := o.open(t.Context(), "postgres", stores.Embedded{Dir: t.TempDir()})
			require.ErrorContains(t, err, o.variable+` is "postgres", expected sqlite`)
		})
	}
}

func TestTheConfigurationChooses(t *testing.T) {
	cfg := metadata.Config{Store: "mongodb", Embedded: stores.Embedded{Dir: t.TempDir()},
		MongoDB: mongodb.Config{URL: "mongodb://127.0.0.1:1", Timeout: 50 * time.Millisecond}}
	s, err := metadata.Open(t.Context(), cfg, stores.Host{Name: "test"})
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorContains(t, err, "127.0.0.1:1")
	require.Nil(t, s)
	require.NoFileExists(t, filepath.Join(cfg.Dir, stores.MetadataFile))
}

func TestTheConfigurationChoosesTheIndex(t *testing.T) {
	cfg := search.Config{Store: "elasticsearch", Embedded: stores.Embedded{Dir: t.TempDir()},
		Elasticsearch: elasticsearch.Config{URLs: []string{"http://127.0.0.1:1"}, Attempts: 1}}
	s, err := search.Open(t.Context(), cfg, stores.Host{})
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorContains(t, err, "127.0.0.1:1")
	require.Nil(t, s)
	r, err := search.OpenReader(t.Context(), cfg, stores.Host{})
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.Nil(t, r)
	require.NoFileExists(t, filepath.Join(cfg.Dir, stores.SearchFile))
}
