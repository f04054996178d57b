package servertest

import "os"

// Product is a server that tests may ask for.
type Product string

// The products.
const (
	ProductCassandra     Product = "cassandra"
	ProductMongoDB       Product = "mongodb"
	ProductElasticsearch Product = "elasticsearch"
	ProductRedis         Product = "redis"
	ProductKeycloak      Product = "keycloak"
	ProductNATS          Product = "nats"
	ProductS3            Product = "s3"
)

// images is the one place where versions are pinned: by product, the variable
// that names another image, and the vendor's.
var images = map[Product]struct{ variable, vendor string }{
	ProductCassandra:     {"CASSANDRA_IMAGE", "cassandra:5.0.9"},
	ProductMongoDB:       {"MONGODB_IMAGE", "mongo:8.0"},
	ProductElasticsearch: {"ELASTICSEARCH_IMAGE", "docker.elastic.co/elasticsearch/elasticsearch:8.19.21"},
	ProductRedis:         {"REDIS_IMAGE", "redis:7.4"},
	ProductKeycloak:      {"KEYCLOAK_IMAGE", "quay.io/keycloak/keycloak:26.7.3"},
	ProductNATS:          {"NATS_IMAGE", "nats:2.15-alpine"},
	ProductS3:            {"S3_IMAGE", "versity/versitygw:v1.7.0"},
}

// Image is the container image that a product is started from.
func Image(p Product) string {
	i := images[p]
	if name := os.Getenv(i.variable); name != "" {
		return name
	}
	return i.vendor
}
