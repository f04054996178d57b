package servertest_test

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/servertest"
)

var products = []servertest.Product{
	servertest.ProductCassandra, servertest.ProductMongoDB, servertest.ProductElasticsearch,
	servertest.ProductRedis, servertest.ProductKeycloak, servertest.ProductNATS, servertest.ProductS3,
}

func TestImages(t *testing.T) {
	variables := map[servertest.Product]string{
		servertest.ProductCassandra: "CASSANDRA_IMAGE", servertest.ProductMongoDB: "MONGODB_IMAGE",
		servertest.ProductElasticsearch: "ELASTICSEARCH_IMAGE", servertest.ProductRedis: "REDIS_IMAGE",
		servertest.ProductKeycloak: "KEYCLOAK_IMAGE", servertest.ProductNATS: "NATS_IMAGE",
		servertest.ProductS3: "S3_IMAGE",
	}
	for _, p := range products {
		t.Setenv(variables[p], "")
		require.Regexp(t, `^[a-z./]+:v?[0-9]+\.[0-9a-z.-]+$`, servertest.Image(p), "a vendor's image of one version")
		t.Setenv(variables[p], "mine/"+string(p)+":1")
		require.Equal(t, "mine/"+string(p)+":1", servertest.Image(p))
	}
}

func TestServersThatRunAlready(t *testing.T) {
	t.Setenv("CASSANDRA_URL", "one:9042,two:9042")
	t.Setenv("MONGODB_URL", "mongodb://m")
	t.Setenv("ELASTICSEARCH_URL", "https://e/")
	t.Setenv("REDIS_URL", "redis://r")
	t.Setenv("KEYCLOAK_URL", "https://k/auth/")
	t.Setenv("NATS_TEST_URL", " nats://n ")
	t.Setenv("S3_URL", "https://key:secret@s/")
	require.Equal(t, "one:9042,two:9042", servertest.Cassandra(t))
	require.Equal(t, "mongodb://m", servertest.MongoDB(t))
	require.Equal(t, "https://e", servertest.Elasticsearch(t))
	require.Equal(t, "redis://r", servertest.Redis(t))
	require.Equal(t, "https://k/auth", servertest.Keycloak(t))
	require.Equal(t, "nats://n", servertest.NATS(t))
	require.Equal(t, "https://key:secret@s", servertest.S3(t))
}

func TestName(t *testing.T) {
	t.Run("With spaces, Ünïcode/and/a name that goes on and on and on", func(t *testing.T) {
		valid := regexp.MustCompile(`^[a-z][a-z0-9_]{8,39}$`)
		seen := map[string]bool{}
		for range 1000 {
			n := servertest.Name(t)
			require.Regexp(t, valid, n)
			require.False(t, seen[n])
			seen[n] = true
		}
	})
}
