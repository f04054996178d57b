// Package s3 keeps the archive's segments in a bucket of S3, or of a server that
// speaks its protocol.
//
// A Put is whole or not at all, and durable when it returns, as S3 promises; the
// bucket must exist. Errors of the service and of the way to it are
// events.ErrUnavailable.
package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/chat-platform/chat/events"
)

// Config says where the bucket is. Without a key the usual variables
// (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or the machine's role tell.
type Config struct {
	Endpoint string `env:"ARCHIVE_S3_ENDPOINT" envDefault:"s3.amazonaws.com"` // host or host:port
	Region   string `env:"ARCHIVE_S3_REGION"`
	Key      string `env:"ARCHIVE_S3_ACCESS_KEY"`
	Secret   string `env:"ARCHIVE_S3_SECRET_KEY"` // never logged
	Plain    bool   `env:"ARCHIVE_S3_PLAIN_HTTP"` // no TLS; for servers on the same machine
	PathOnly bool   `env:"ARCHIVE_S3_PATH_STYLE"` // the bucket is a part of the path, not of the host
}

// Store is a prefix of a bucket: a store of infra/archive.
type Store struct {
	client         *minio.Client
	bucket, prefix string
}

// Open finds the bucket.
func Open(ctx context.Context, cfg Config, bucket, prefix string) (*Store, error) {
	if cfg.Endpoint == "" {
		cfg.Endpoint = "s3.amazonaws.com"
	}
	creds := credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.IAM{Client: http.DefaultClient}})
	if cfg.Key != "" {
		creds = credentials.NewStaticV4(cfg.Key, cfg.Secret, "")
	}
	lookup := minio.BucketLookupAuto
	if cfg.PathOnly {
		lookup = minio.BucketLookupPath
	}
	c, err := minio.New(cfg.Endpoint, &minio.Options{Creds: creds, Secure: !cfg.Plain, Region: cfg.Region, BucketLookup: lookup, MaxRetries: 3})
	if err != nil {
		return nil, fmt.Errorf("ARCHIVE_S3_ENDPOINT is %q: %w", cfg.Endpoint, err)
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	s := &Store{c, bucket, prefix}
	switch there, err := c.BucketExists(ctx, bucket); {
	case err != nil:
		return nil, s.failed("open", "", err)
	case !there:
		return nil, fmt.Errorf("bucket %s at %s: %w", bucket, cfg.Endpoint, events.ErrNotFound)
	}
	return s, nil
}

func (s *Store) failed(what, name string, err error) error {
	kind := events.ErrUnavailable
	var r minio.ErrorResponse
	if errors.As(err, &r) && r.Code == minio.NoSuchKey {
		kind = events.ErrNotFound
	}
	return fmt.Errorf("%s s3://%s/%s%s: %w: %w", what, s.bucket, s.prefix, name, kind, err)
}

// Put stores an object.
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	// One request, not in parts: it is there as a whole at once.
	opts := minio.PutObjectOptions{ContentType: "application/octet-stream", DisableMultipart: true}
	if _, err := s.client.PutObject(ctx, s.bucket, s.prefix+name, bytes.NewReader(data), int64(len(data)), opts); err != nil {
		return s.failed("put", name, err)
	}
	return nil
}

// Get reads a part of an object.
func (s *Store) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	var opts minio.GetObjectOptions
	var err error
	switch {
	case length == 0:
		return nil, nil
	case length > 0:
		err = opts.SetRange(offset, offset+length-1)
	case offset > 0:
		err = opts.SetRange(offset, 0)
	}
	if err != nil {
		return nil, s.failed("get", name, err)
	}
	body, _, _, err := (&minio.Core{Client: s.client}).GetObject(ctx, s.bucket, s.prefix+name, opts)
	if err != nil {
		return nil, s.failed("get", name, err)
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, s.failed("get", name, err)
	}
	return b, nil
}

// List calls f with every object below a prefix.
func (s *Store) List(ctx context.Context, prefix string, f func(name string, size int64) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the listing
	for o := range s.client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}) {
		if o.Err != nil {
			return s.failed("list", prefix, o.Err)
		}
		if err := f(strings.TrimPrefix(o.Key, s.prefix), o.Size); err != nil {
			return err
		}
	}
	return ctx.Err()
}
