//go:build integration

package rebuild_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/cassandra"
	"github.com/chat-platform/chat/infra/elasticsearch"
	"github.com/chat-platform/chat/infra/mongodb"
	"github.com/chat-platform/chat/infra/servertest"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/stores/messages"
	"github.com/chat-platform/chat/infra/stores/metadata"
	"github.com/chat-platform/chat/infra/stores/search"
	"github.com/chat-platform/chat/local/rebuild"
	"github.com/chat-platform/chat/local/views"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// On the real servers: each view is wiped while people talk, tables, collections
// and indices, and is whole again after a rebuild, which then can be repeated.
func TestWipedServers(t *testing.T) {
	s := newStage(t)
	s.lease, s.batch = time.Second, 500
	name := servertest.Name(t)
	s.cfg = views.Config{
		Messages: messages.Config{Store: "cassandra", Cassandra: cassandra.Config{Hosts: strings.Split(servertest.Cassandra(t), ","), Keyspace: name, Timeout: 20 * time.Second, Logger: quiet}},
		Metadata: metadata.Config{Store: "mongodb", MongoDB: mongodb.Config{URL: servertest.MongoDB(t), Database: name}},
		Search:   search.Config{Store: "elasticsearch", Elasticsearch: elasticsearch.Config{URLs: []string{servertest.Elasticsearch(t)}, Index: strings.ToLower(name), WaitVisible: true}},
	}
	s.publish(t, append(talk(t, "ch_a", 500), talk(t, "ch_b", 500)...)...)
	s.serve(t)
	s.applied(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var traffic sync.WaitGroup
	sent := 0
	traffic.Go(func() {
		for ctx.Err() == nil {
			es := []events.Event{said(t, "ch_a", "hello again"), said(t, "ch_b", "hello there"), joined(t, "ch_a", events.UserID(fmt.Sprint("user ", sent)))}
			if _, errs := s.log.PublishAll(ctx, es, nil); errors.Join(errs...) == nil {
				sent++
			}
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	for _, v := range views.All() {
		store, _, err := v.Generation(t.Context(), s.cfg, stores.Host{Log: quiet}, 1)
		require.NoError(t, err)
		require.NoError(t, store.Drop(t.Context()), v.Name)
		var out bytes.Buffer
		results, err := s.rebuilder(rebuild.NewPrinter(&out).Print).Run(t.Context(), []views.View{v})
		require.NoError(t, err, out.String())
		assert.False(t, results[0].Equal(), "%s: the wiped one was found out", v.Name)
		t.Logf("%s: %d events copied in %s (%.0f/s), %s in all", v.Name, results[0].Events, results[0].Copying.Round(time.Millisecond),
			float64(results[0].Events)/results[0].Copying.Seconds(), results[0].Took.Round(time.Millisecond))
	}
	results, err := s.rebuilder(nil).Run(t.Context(), views.All())
	require.NoError(t, err)
	for _, r := range results {
		assert.True(t, r.Equal(), "%s: what was rebuilt is what the log says, and is rebuilt alike", r.View)
	}
	stop()
	traffic.Wait()
	s.applied(t)
	for _, v := range views.All() {
		s.holds(t, v, 3)
		store, _, err := v.Generation(t.Context(), s.cfg, stores.Host{Log: quiet}, 3)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, store.Drop(context.WithoutCancel(t.Context()))) })
	}
}
