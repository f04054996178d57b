//go:build integration

package outage_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/keycloak/keycloaktest"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/servertest"
	"github.com/chat-platform/chat/local/client"
	"github.com/chat-platform/chat/local/corpus"
	"github.com/chat-platform/chat/local/platform/platformtest"
)

const (
	channels = 4
	talkers  = 20 // each is in every channel
	patience = 5 * time.Minute
	step     = 50 * time.Millisecond
	tooLong  = 20 * time.Second // for one answer; functions give up after 10 s by themselves
)

// phase is where a story is.
type phase int32

const (
	before phase = iota
	during       // the server is away
	after        // it is back
	phases
)

func (p phase) String() string { return [...]string{"before", "during", "after"}[p] }

// story is people on a platform from beginning to end.
type story struct {
	cfg      settings
	environ  []string
	more     []string // of options
	platform *platformtest.Platform
	log      *natslog.Log
	lines    []string
	channels []events.ChannelID
	talkers  []*client.Client

	realm *keycloaktest.Realm      // nil: the development issuer
	ids   map[string]events.UserID // of people whose name is not their id

	refusals bool // sends may be refused for now, and connections end
	phase    atomic.Int32
	refused  atomic.Int64
	stop     chan struct{}
	busy     sync.WaitGroup // talkers and readers

	listeners []*listener
	figures   figures

	mu       sync.Mutex
	accepted map[events.ChannelID][]events.Message
	newest   map[events.ChannelID]uint64 // highest sequence of a receipt
	made     []events.ChannelID          // by the visitor
	faults   []string
}

// option changes what a story stands on.
type option func(*testing.T, *story)

func onLog(s *servertest.Server) option {
	return func(t *testing.T, st *story) { st.environ = platformtest.OnLog(t, s.Address()) }
}

func refusalsAllowed(_ *testing.T, st *story) { st.refusals = true }

// talk starts a platform and has people talk on it until the views are known to
// follow.
func talk(t *testing.T, cfg settings, opts ...option) *story {
	t.Helper()
	s := &story{cfg: cfg, stop: make(chan struct{}), accepted: map[events.ChannelID][]events.Message{}, newest: map[events.ChannelID]uint64{}}
	for _, o := range opts {
		o(t, s)
	}
	if s.environ == nil {
		s.environ = platformtest.OnServers(t)
	}
	s.environ = append(s.environ, s.more...)
	s.environ = append(s.environ, "RATE_LIMIT_SEND=20/1s burst 40", "RATE_LIMIT_READ=100/1s burst 200")
	text, err := corpus.Open("")
	require.NoError(t, err)
	for _, m := range text.Messages {
		s.lines = append(s.lines, m.Text)
	}
	s.platform = platformtest.Start(t, "", s.environ...)
	s.log, err = natslog.Open(t.Context(), natslog.Config{URL: s.variable("NATS_URL"), Name: "outage"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.log.Close()) })

	owner := s.client(t, "owner")
	var users []events.UserID
	for i := range talkers {
		s.talkers = append(s.talkers, owner.As(fmt.Sprintf("talker-%d", i)))
		users = append(users, s.id(s.talkers[i]))
	}
	for i := range channels {
		id := events.ChannelID(fmt.Sprintf("ch_%d", i))
		s.channels = append(s.channels, id)
		require.NoError(t, owner.CreateChannel(t.Context(), id, string(id), ""))
		require.NoError(t, owner.AddMembers(t.Context(), id, users))
		s.listen(t, owner.As(fmt.Sprintf("listener-%d", i)), id)
	}
	for i, c := range s.talkers {
		s.busy.Go(func() { s.speak(t.Context(), c, i) })
	}
	for i, c := range s.talkers[:4] {
		s.busy.Go(func() { s.read(t.Context(), c, i) })
	}
	s.busy.Go(func() { s.visit(t.Context(), owner.As("visitor"), owner.As("guest")) })
	t.Cleanup(func() {
		s.end()
		for _, l := range s.listeners {
			l.close()
		}
	})
	s.pause(t, 5*time.Second)
	s.awaitViews(t, s.ends(t))
	return s
}

func (s *story) variable(name string) string {
	for _, e := range s.environ {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

func (s *story) client(t *testing.T, user string) *client.Client {
	t.Helper()
	c, err := client.New(s.platform.URL, user)
	require.NoError(t, err)
	if s.realm != nil {
		return c.WithPassword(keycloaktest.Password)
	}
	return c
}

// id is whom the platform takes the client's user for.
func (s *story) id(c *client.Client) events.UserID {
	if id, ok := s.ids[c.User()]; ok {
		return id
	}
	return events.UserID(c.User())
}

// without is the outage: kill ends the server, and things go on. What is given
// happens in the middle of it.
func (s *story) without(t *testing.T, server *servertest.Server, kill func(*servertest.Server, testing.TB), meanwhile ...func()) {
	t.Helper()
	s.phase.Store(int32(during))
	kill(server, t)
	gone := time.Now()
	s.pause(t, s.cfg.Outage/2)
	for _, f := range meanwhile {
		f()
	}
	s.pause(t, s.cfg.Outage-time.Since(gone))
	restart := time.Now()
	server.Restart(t)
	s.phase.Store(int32(after))
	t.Logf("away for %s, and %s until it was ready", restart.Sub(gone).Round(time.Second), time.Since(restart).Round(100*time.Millisecond))
	s.awaitViews(t, s.ends(t))
	s.pause(t, s.cfg.After)
	s.end()
	s.figures.print(t)
}

// pause lets the traffic go on for a while.
func (s *story) pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// end stops the traffic and waits for the answers to what is under way.
func (s *story) end() {
	s.mu.Lock()
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
	s.mu.Unlock()
	s.busy.Wait()
}

// wait waits, and tells whether the story goes on.
func (s *story) wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-s.stop:
	case <-ctx.Done():
	case <-time.After(d):
		return true
	}
	return false
}

func (s *story) fault(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, phase(s.phase.Load()).String()+": "+fmt.Sprintf(format, args...))
}
