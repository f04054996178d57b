package elasticsearch

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	driver "github.com/elastic/go-elasticsearch/v8"

	"github.com/chat-platform/chat/events"
)

// Store is the search view.
type Store struct {
	config    Config
	client    *driver.BaseClient
	transport *http.Transport
	closed    atomic.Bool
}

// Open connects, and makes what is missing of the index template, the index and
// the alias. Errors match events.ErrInvalid for a configuration that can't be, and
// for credentials that are refused, events.ErrUnavailable where no server answers.
func Open(ctx context.Context, c Config) (*Store, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{config: c}
	if s.client, s.transport, err = c.client(); err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		_ = s.Close()
		if refused(err, http.StatusUnauthorized, "") || refused(err, http.StatusForbidden, "security_exception") {
			return nil, fmt.Errorf("%w: ELASTICSEARCH_USERNAME, ELASTICSEARCH_PASSWORD, ELASTICSEARCH_API_KEY: %v", events.ErrInvalid, err) //nolint:errorlint // no waiting helps, other than in service
		}
		return nil, fmt.Errorf("open search index %s: %w", c.Index, err)
	}
	return s, nil
}

// Close ends the use of the store. A second call does nothing.
func (s *Store) Close() error {
	if !s.closed.Swap(true) {
		s.transport.CloseIdleConnections()
	}
	return nil
}

// Ping tells whether a server answers and has the index.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.once(ctx, http.MethodGet, "/_alias/"+s.config.Index, nil, nil); err != nil {
		return fmt.Errorf("ping search index %s: %w", s.config.Index, err)
	}
	return nil
}

// Refresh makes everything visible to searches that was written before.
func (s *Store) Refresh(ctx context.Context) error {
	if err := s.refresh(ctx); err != nil {
		return fmt.Errorf("refresh search index %s: %w", s.config.Index, err)
	}
	return nil
}

func (s *Store) refresh(ctx context.Context) error {
	return s.call(ctx, http.MethodPost, "/"+s.config.Index+"/_refresh", nil, nil)
}
