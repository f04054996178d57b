package full

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/chat-platform/chat/infra/keycloak/realm"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/oidc"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/infra/redis"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/stores/messages"
	"github.com/chat-platform/chat/infra/stores/metadata"
	"github.com/chat-platform/chat/infra/stores/search"
	"github.com/chat-platform/chat/local/datadir"
)

// server is one service of compose.yaml.
type server struct {
	name  string
	port  uint16
	probe func(context.Context) error // nil once the platform could use it
}

type variable struct{ name, value string }

// ports are those that compose.yaml asks for.
func (c Config) ports() []variable {
	var all []variable
	for name, port := range map[string]uint16{
		"FULL_NATS_PORT": c.NATS, "FULL_CASSANDRA_PORT": c.Cassandra, "FULL_MONGODB_PORT": c.MongoDB,
		"FULL_ELASTICSEARCH_PORT": c.Elasticsearch, "FULL_REDIS_PORT": c.Redis, "FULL_KEYCLOAK_PORT": c.Keycloak,
	} {
		all = append(all, variable{name, strconv.Itoa(int(port))})
	}
	return all
}

// realmDir is what Keycloak imports from.
func (c Config) realmDir() (string, error) { return filepath.Abs(filepath.Join(c.DataDir, "realm")) }

// writeRealm writes the file for Keycloak, whose user is another one.
func (c Config) writeRealm() error {
	b, err := realm.JSON(c.Realm)
	if err != nil {
		return err
	}
	dir, err := c.realmDir()
	if err == nil {
		err = datadir.Open(c.DataDir)
	}
	if err == nil {
		err = os.MkdirAll(dir, 0o755) //nolint:gosec // read by another user; DATA_DIR above it is closed
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "realm.json"), b, 0o644) //nolint:gosec // likewise
	}
	if err != nil {
		return fmt.Errorf("the realm's file for keycloak: %w", err)
	}
	return nil
}

// imported is the file that keeps the realm as Keycloak has imported it, which
// happens once.
func (c Config) imported() string { return filepath.Join(c.DataDir, "realm-imported.json") }

// noteImport keeps the realm when Keycloak has it for the first time, and tells
// later whether it has changed since.
func (c Config) noteImport() (changed bool, err error) {
	now, err := realm.JSON(c.Realm)
	if err != nil {
		return false, err
	}
	then, err := os.ReadFile(c.imported())
	if errors.Is(err, os.ErrNotExist) {
		return false, os.WriteFile(c.imported(), now, 0o600)
	}
	return !bytes.Equal(now, then), err
}

// forgetImport is for when Keycloak's data is gone.
func (c Config) forgetImport() error {
	if err := os.Remove(c.imported()); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// environ is what makes a platform run on the servers.
func (c Config) environ() []variable {
	return []variable{
		{"DATA_DIR", c.DataDir},
		{"NATS_URL", fmt.Sprintf("nats://127.0.0.1:%d", c.NATS)},
		{"STORE_MESSAGES", "cassandra"}, {"CASSANDRA_URL", fmt.Sprintf("127.0.0.1:%d", c.Cassandra)},
		{"STORE_METADATA", "mongodb"}, {"MONGODB_URL", fmt.Sprintf("mongodb://127.0.0.1:%d", c.MongoDB)},
		{"STORE_SEARCH", "elasticsearch"}, {"ELASTICSEARCH_URL", fmt.Sprintf("http://127.0.0.1:%d", c.Elasticsearch)},
		{"ELASTICSEARCH_REPLICAS", "0"}, // there is one node
		{"REDIS_URL", fmt.Sprintf("redis://127.0.0.1:%d", c.Redis)},
		{"OIDC_ISSUER", fmt.Sprintf("http://localhost:%d/realms/%s", c.Keycloak, cmp.Or(c.Realm.Name, "chat"))},
		{"CHAT_WATCHER_SECRET", cmp.Or(c.Realm.WatcherSecret, realm.DevelopmentSecret)},
	}
}

// tryWait is how long an adapter that has a wait of its own tries once.
const tryWait = time.Second

// servers are probed by the adapters, with the settings that the platform will
// have: what passes is what it needs.
func servers(cfg Config, p *process.Process) ([]server, error) {
	var c struct {
		Log      natslog.Config
		Messages messages.Config
		Metadata metadata.Config
		Search   search.Config
		Redis    redis.Config
		Issuer   string `env:"OIDC_ISSUER"`
	}
	if err := p.Config(&c); err != nil {
		return nil, err
	}
	quiet := slog.New(slog.DiscardHandler) // a server that is not there yet is no news
	host := stores.Host{Name: p.Name, Log: quiet}
	c.Log.Logger, c.Log.ConnectWait = quiet, tryWait
	c.Messages.Cassandra.ConnectWait = tryWait
	c.Redis.Logger = quiet
	return []server{
		{"nats", cfg.NATS, probe(func(ctx context.Context) (stores.Opened, error) { return natslog.Open(ctx, c.Log) })},
		{"cassandra", cfg.Cassandra, probe(func(ctx context.Context) (stores.Opened, error) { return messages.Open(ctx, c.Messages, host) })},
		{"mongodb", cfg.MongoDB, probe(func(ctx context.Context) (stores.Opened, error) { return metadata.Open(ctx, c.Metadata, host) })},
		{"elasticsearch", cfg.Elasticsearch, probe(func(ctx context.Context) (stores.Opened, error) { return search.Open(ctx, c.Search, host) })},
		{"redis", cfg.Redis, probe(func(ctx context.Context) (stores.Opened, error) { return redis.Open(ctx, c.Redis) })},
		{"keycloak", cfg.Keycloak, func(ctx context.Context) error { return oidc.New(oidc.Config{Issuer: c.Issuer}).Ping(ctx) }},
	}, nil
}

// probe opens, asks for a sign of life, and closes.
func probe(open func(context.Context) (stores.Opened, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		s, err := open(ctx)
		if err != nil {
			return err
		}
		return errors.Join(s.Ping(ctx), s.Close())
	}
}
