package servertest

import (
	"testing"

	"github.com/testcontainers/testcontainers-go/wait"
)

// recipe says how a product is started and reached.
type recipe struct {
	variable   string // names a server that runs already
	scheme     string // of the address, "" for host:port
	user       string // and its password, in the address; "" for none
	port       string
	env        map[string]string
	entrypoint []string
	cmd        []string
	ready      wait.Strategy
}

var recipes = map[Product]recipe{
	ProductCassandra: {
		variable: "CASSANDRA_URL", port: "9042/tcp",
		env: map[string]string{
			"MAX_HEAP_SIZE": "1G", "HEAP_NEWSIZE": "256M",
			// One node has nobody to wait for.
			"JVM_OPTS": "-Dcassandra.skip_wait_for_gossip_to_settle=0",
		},
		ready: wait.ForLog("Startup complete").WithStartupTimeout(startWait),
	},
	ProductMongoDB: {
		variable: "MONGODB_URL", scheme: "mongodb", port: "27017/tcp",
		ready: wait.ForLog("Waiting for connections").WithStartupTimeout(startWait),
	},
	ProductElasticsearch: {
		variable: "ELASTICSEARCH_URL", scheme: "http", port: "9200/tcp",
		env: map[string]string{
			"discovery.type": "single-node", "xpack.security.enabled": "false", "ES_JAVA_OPTS": "-Xms768m -Xmx768m",
		},
		ready: wait.ForHTTP("/_cluster/health?wait_for_status=yellow").WithPort("9200/tcp").WithStartupTimeout(startWait),
	},
	ProductRedis: {
		variable: "REDIS_URL", scheme: "redis", port: "6379/tcp",
		ready: wait.ForLog("Ready to accept connections").WithStartupTimeout(startWait),
	},
	ProductKeycloak: {
		variable: "KEYCLOAK_URL", scheme: "http", port: "8080/tcp",
		env: map[string]string{
			"KC_BOOTSTRAP_ADMIN_USERNAME": "admin", "KC_BOOTSTRAP_ADMIN_PASSWORD": "admin", "KC_HEALTH_ENABLED": "true",
			"KC_DB": "dev-file", "KC_CACHE": "local", "KC_HTTP_ENABLED": "true", "KC_HTTP_HOST": "0.0.0.0",
			"KC_HOSTNAME_STRICT": "false", "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx512m",
			// It lives for a few minutes: less compiling, sooner ready.
			"JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1",
		},
		entrypoint: []string{"/opt/keycloak/bin/kc.sh"}, cmd: []string{"start", "--import-realm"},
		ready: wait.ForHTTP("/health/ready").WithPort("9000/tcp").WithStartupTimeout(startWait),
	},
	ProductNATS: {
		variable: "NATS_TEST_URL", scheme: "nats", port: "4222/tcp",
		cmd:   []string{"-js", "-sd", "/data"},
		ready: wait.ForLog("Server is ready").WithStartupTimeout(startWait),
	},
	ProductS3: {
		variable: "S3_URL", scheme: "http", user: "chat:chat-secret", port: "7070/tcp",
		env:   map[string]string{"ROOT_ACCESS_KEY": "chat", "ROOT_SECRET_KEY": "chat-secret", "VGW_HEALTH": "/health"},
		cmd:   []string{"posix", "/tmp/vgw"},
		ready: wait.ForHTTP("/health").WithPort("7070/tcp").WithStartupTimeout(startWait),
	},
}

// S3 is the URL of a server that speaks S3, with the key and the secret in it.
// Tests make buckets of their own, as infra/s3/s3test does.
func S3(t testing.TB) string { return address(t, ProductS3) }

// Cassandra is host:port of a Cassandra without authentication.
func Cassandra(t testing.TB) string { return address(t, ProductCassandra) }

// MongoDB is the URL of a MongoDB without authentication.
func MongoDB(t testing.TB) string { return address(t, ProductMongoDB) }

// Elasticsearch is the URL of an Elasticsearch without security.
func Elasticsearch(t testing.TB) string { return address(t, ProductElasticsearch) }

// Redis is the URL of a Redis without authentication. Its databases are few:
// tests put [Name] before their keys.
func Redis(t testing.TB) string { return address(t, ProductRedis) }

// NATS is the URL of a NATS server with JetStream. The log's streams have fixed
// names, so that tests that need an empty log take [Start].
func NATS(t testing.TB) string { return address(t, ProductNATS) }

// Keycloak is the base URL of a Keycloak with the administrator admin, password
// admin. Tests import a realm of their own, as infra/keycloak/keycloaktest does.
// Tokens carry the address by which Keycloak was asked.
func Keycloak(t testing.TB) string { return address(t, ProductKeycloak) }
