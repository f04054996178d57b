//go:build integration

package outage_test

import (
	"testing"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// settings are how long it takes and how much is said.
type settings struct {
	Outage time.Duration `env:"OUTAGE" envDefault:"60s"`
	After  time.Duration `env:"OUTAGE_AFTER" envDefault:"10s"` // traffic once the views have caught up
	Rate   int           `env:"OUTAGE_RATE" envDefault:"60"`   // messages a second
}

// One platform and one log for each outage; the other servers are shared, and
// each has been through the outages before.
func TestOutages(t *testing.T) {
	var cfg settings
	require.NoError(t, env.Parse(&cfg))
	servers := map[servertest.Product]*servertest.Server{}
	for variable, p := range map[string]servertest.Product{
		"CASSANDRA_URL": servertest.ProductCassandra, "MONGODB_URL": servertest.ProductMongoDB,
		"ELASTICSEARCH_URL": servertest.ProductElasticsearch, "REDIS_URL": servertest.ProductRedis,
	} {
		servers[p] = servertest.Start(t, p)
		t.Setenv(variable, servers[p].Address()) // whoever names one that runs does not mean it to be killed
	}

	t.Run("Cassandra", func(t *testing.T) {
		s := talk(t, cfg)
		s.without(t, servers[servertest.ProductCassandra], (*servertest.Server).Kill)
		s.verify(t)
		s.requireServed(t, during, search, list, ready)
	})
	t.Run("MongoDB", func(t *testing.T) {
		s := talk(t, cfg)
		// Not killed: the stand-in loses what MongoDB's journal would keep.
		s.without(t, servers[servertest.ProductMongoDB], (*servertest.Server).Stop)
		s.verify(t)
		s.requireServed(t, during, latest, first, search, ready)
	})
	t.Run("Elasticsearch", func(t *testing.T) {
		s := talk(t, cfg)
		s.without(t, servers[servertest.ProductElasticsearch], (*servertest.Server).Kill)
		s.verify(t)
		s.requireServed(t, during, latest, first, list, ready)
	})
	t.Run("Redis", func(t *testing.T) {
		s := talk(t, cfg)
		var passed, refused int
		s.without(t, servers[servertest.ProductRedis], (*servertest.Server).Kill, func() { passed, refused = s.flood(t) })
		s.verify(t)
		s.requireServed(t, during, latest, first, search, list, ready)
		require.NotZero(t, passed)
		require.NotZero(t, refused, "limits hold in the process")
	})
	t.Run("Keycloak", func(t *testing.T) {
		keycloak := servertest.Start(t, servertest.ProductKeycloak)
		t.Setenv("KEYCLOAK_URL", keycloak.Address())
		s := talk(t, cfg, withRealm)
		late := s.lateComers(t)
		s.without(t, keycloak, (*servertest.Server).Kill, func() { late.come(t) })
		late.login(t)
		s.verify(t)
		s.requireServed(t, during, latest, first, search, list, ready)
	})
	t.Run("NATS", func(t *testing.T) {
		log := servertest.Start(t, servertest.ProductNATS)
		s := talk(t, cfg, onLog(log), refusalsAllowed)
		s.without(t, log, (*servertest.Server).Kill)
		s.verify(t)
		require.NotZero(t, s.refused.Load(), "nothing is accepted without the log")
	})
}
