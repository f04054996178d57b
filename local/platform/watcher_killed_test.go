//go:build integration

package platform_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/keycloak/keycloaktest"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/local/platform/platformtest"
)

// killing starts and kills watchers, each at a moment that nobody knows, until
// rest, which leaves one running that nobody kills.
func killing(t *testing.T, bin watcherBinary) (rest func() (kills int, last *watcherProcess)) {
	t.Helper()
	end, over := make(chan struct{}), make(chan struct{})
	kills := 0
	go func() {
		defer close(over)
		for {
			w, err := bin.start(t)
			if !assert.NoError(t, err) {
				return
			}
			select {
			case <-end:
				w.kill()
				return
			case <-time.After(rand.N(700 * time.Millisecond)): // it takes some 200 ms to the first question
				w.kill()
				kills++
			}
		}
	}()
	return func() (int, *watcherProcess) {
		close(end)
		<-over
		w, err := bin.start(t)
		require.NoError(t, err)
		t.Cleanup(w.kill)
		return kills, w
	}
}

// While users lose their logins one after another, the watcher, a process of its own,
// is killed (-9) at any moment and started again. Every one of them is cut off: the
// socket and the next request. Nobody else is, and nobody who has logged in again
// since, however often the watcher reads the same events. CUTOFF_ROUNDS= for more.
func TestWatcherIsKilled(t *testing.T) {
	r := keycloaktest.New(t)
	longTokens(t, r)
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	p := platformtest.Start(t, "", append(keycloakPlatform(r), "NATS_URL="+srv.ClientURL())...)
	bin := buildWatcher(t, r, srv.ClientURL())
	deeds, kills := 0, 0
	stay := []*signedIn{signIn(t, p, r, "bystander")}
	for round := range number(t, "CUTOFF_ROUNDS", 3) {
		var victims []*signedIn
		for n := range 2 * len(ends) {
			victims = append(victims, signIn(t, p, r, fmt.Sprintf("victim-%d-%d", round, n)))
		}
		back := signIn(t, p, r, fmt.Sprintf("back-%d", round))
		rest := killing(t, bin)
		for n, s := range victims {
			ends[n%len(ends)].do(t, r, s)
			<-time.After(rand.N(300 * time.Millisecond)) // so that kills fall before, between and after
		}
		r.EndSessions(t, back.id)
		deeds += len(victims) + 1
		killed, w := rest()
		kills += killed
		began := time.Now()
		for _, s := range append(victims, back) {
			s.gone(t, p, began)
		}

		// Whoever logs in again is let in, as soon as the token is younger than what
		// cut the other one off, to the second.
		tokens := accepted(t, p, r, r.Login(t, fmt.Sprintf("back-%d", round)))
		stay = append(stay, connect(t, p, back.id, tokens))
		w.kill()
	}

	// Many more events than a page while no watcher runs: the oldest counts as well.
	first := signIn(t, p, r, "first")
	noise := r.CreateUser(t, "noise")
	r.SetEnabled(t, first.id, false)
	const workers, each = 8, 30
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			own := keycloaktest.At(r.Base, r.Name)
			for range each {
				own.EndSessions(t, noise)
			}
		})
	}
	all.Wait()
	deeds += 1 + workers*each
	w, err := bin.start(t)
	require.NoError(t, err)
	t.Cleanup(w.kill)
	first.gone(t, p, time.Now())
	require.Eventually(t, func() bool {
		last, err := log.LastSequence(t.Context(), events.StreamCutOffs)
		return err == nil && last >= uint64(deeds)
	}, waitLong, waitStep, "the log does not tell of %d deeds: %s", deeds, &w.out)
	for _, s := range stay {
		s.stays(t, p)
	}
	ids := map[string]bool{}
	require.NoError(t, log.Range(t.Context(), events.StreamCutOffs, nil, 1, 1<<40, func(e events.Event) error {
		assert.False(t, ids[e.ID], "told twice: %s", e.Data)
		ids[e.ID] = true
		return nil
	}))
	require.Len(t, ids, deeds)
	t.Logf("%d logins ended, %d kills: none missed, none told twice", deeds, kills)
}
