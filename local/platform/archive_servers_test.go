//go:build integration

package platform_test

import (
	"fmt"
	"testing"

	"github.com/chat-platform/chat/infra/s3/s3test"
)

func TestMessagesMoveToS3(t *testing.T) {
	cfg, bucket := s3test.Bucket(t)
	archiveAndRebuild(t, "s3://"+bucket+"/chat/log",
		"ARCHIVE_S3_ENDPOINT="+cfg.Endpoint, "ARCHIVE_S3_REGION="+cfg.Region, "ARCHIVE_S3_ACCESS_KEY="+cfg.Key, "ARCHIVE_S3_SECRET_KEY="+cfg.Secret,
		fmt.Sprint("ARCHIVE_S3_PLAIN_HTTP=", cfg.Plain), "ARCHIVE_S3_PATH_STYLE=true")
}
