// Package s3test gives integration tests a bucket on a real server.
package s3test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/chat-platform/chat/infra/s3"
	"github.com/chat-platform/chat/infra/servertest"
)

// Bucket makes a bucket on the server that all tests share. The package's TestMain
// calls [servertest.Main].
func Bucket(t testing.TB) (s3.Config, string) {
	t.Helper()
	return BucketAt(t, servertest.S3(t))
}

// BucketAt is Bucket on a server that the test has started itself.
func BucketAt(t testing.TB, address string) (s3.Config, string) {
	t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal("the address of the S3 server is no URL") // its secret stays out of the log
	}
	secret, _ := at.User.Password()
	cfg := s3.Config{Endpoint: at.Host, Region: "us-east-1", Key: at.User.Username(), Secret: secret, Plain: at.Scheme == "http", PathOnly: true}
	c, err := minio.New(cfg.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(cfg.Key, cfg.Secret, ""), Secure: !cfg.Plain, Region: cfg.Region, BucketLookup: minio.BucketLookupPath})
	bucket := strings.ReplaceAll(servertest.Name(t), "_", "-")
	if err == nil {
		err = c.MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{Region: cfg.Region})
	}
	if err != nil {
		t.Fatalf("make bucket %s at %s: %v", bucket, cfg.Endpoint, err)
	}
	return cfg, bucket
}
