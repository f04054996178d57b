package nats

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/chat-platform/chat/events"
)

// Objects is a bucket of NATS's object store: a store of infra/archive. It may
// lie on other servers than the streams (placement is the server's to say).
// Objects are read whole; the one read last is kept.
type Objects struct {
	bucket string
	store  jetstream.ObjectStore

	mu   sync.Mutex
	name string
	data []byte
}

// Objects opens a bucket, which is made if it is missing.
func (l *Log) Objects(ctx context.Context, bucket string, replicas int) (*Objects, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	s, err := l.js.ObjectStore(ctx, bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		s, err = l.js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: bucket, Replicas: max(replicas, 1)})
		if errors.Is(err, jetstream.ErrBucketExists) { // another process was faster
			s, err = l.js.ObjectStore(ctx, bucket)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", bucket, translate(err))
	}
	return &Objects{bucket: bucket, store: s}, nil
}

// Put stores an object.
func (o *Objects) Put(ctx context.Context, name string, data []byte) error {
	o.mu.Lock()
	if o.name == name {
		o.name, o.data = "", nil
	}
	o.mu.Unlock()
	if _, err := o.store.PutBytes(ctx, name, data); err != nil {
		return fmt.Errorf("put %s to bucket %s: %w", name, o.bucket, translate(err))
	}
	return nil
}

// Get gives a part of an object. Its digest is compared.
func (o *Objects) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	o.mu.Lock()
	data, kept := o.data, o.name == name
	o.mu.Unlock()
	if !kept {
		var err error
		if data, err = o.store.GetBytes(ctx, name); err != nil {
			if errors.Is(err, jetstream.ErrObjectNotFound) {
				err = fmt.Errorf("%w: %w", events.ErrNotFound, err)
			}
			return nil, fmt.Errorf("get %s of bucket %s: %w", name, o.bucket, translate(err))
		}
		o.mu.Lock()
		o.name, o.data = name, data
		o.mu.Unlock()
	}
	data = data[min(offset, int64(len(data))):]
	if length >= 0 {
		data = data[:min(length, int64(len(data)))]
	}
	return data, nil
}

// List calls f with every object below a prefix.
func (o *Objects) List(ctx context.Context, prefix string, f func(name string, size int64) error) error {
	all, err := o.store.List(ctx)
	if errors.Is(err, jetstream.ErrNoObjectsFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list bucket %s: %w", o.bucket, translate(err))
	}
	for _, info := range all {
		if strings.HasPrefix(info.Name, prefix) {
			if err := f(info.Name, int64(info.Size)); err != nil {
				return err
			}
		}
	}
	return nil
}
