//go:build integration

package platformtest

import (
	"testing"

	"github.com/chat-platform/chat/infra/servertest"
)

// OnServers is the environment of a platform that keeps nothing but its data
// folder: a log of its own, gone when the test ends, and a keyspace, a database,
// an index and a prefix of its own on the shared servers. The package's TestMain
// calls [servertest.Main].
func OnServers(t testing.TB) []string {
	t.Helper()
	return OnLog(t, servertest.Start(t, servertest.ProductNATS).Address())
}

// OnLog is OnServers for a log that the test has started itself.
func OnLog(t testing.TB, natsURL string) []string {
	t.Helper()
	own := servertest.Name(t)
	return []string{
		"NATS_URL=" + natsURL,
		"STORE_MESSAGES=cassandra", "CASSANDRA_URL=" + servertest.Cassandra(t), "CASSANDRA_KEYSPACE=" + own,
		"STORE_METADATA=mongodb", "MONGODB_URL=" + servertest.MongoDB(t), "MONGODB_DATABASE=" + own,
		"STORE_SEARCH=elasticsearch", "ELASTICSEARCH_URL=" + servertest.Elasticsearch(t), "ELASTICSEARCH_INDEX=" + own, "ELASTICSEARCH_REPLICAS=0",
		"REDIS_URL=" + servertest.Redis(t), "REDIS_PREFIX=" + own + ":",
	}
}
