// Package servertest gives integration tests the real servers.
//
// [Cassandra], [MongoDB], [Elasticsearch], [Redis], [Keycloak], [NATS] and [S3]
// return an address: that of a server which runs already, where the product's
// variable names one (CASSANDRA_URL, MONGODB_URL, ELASTICSEARCH_URL, REDIS_URL,
// KEYCLOAK_URL, NATS_TEST_URL, S3_URL), else that of a container. All tests of one test
// binary share it, so each of them works in a keyspace, database, index prefix,
// realm or bucket of its own, called by [Name]. [Start] gives a test a container for
// itself, which may be killed and brought back.
//
// A server that can't be had fails the test, it never skips it.
//
// A test binary that uses the package hands its TestMain to [Main], which
// removes the containers at the end. Those of a binary that was killed are
// removed by the next one on the same machine.
package servertest
