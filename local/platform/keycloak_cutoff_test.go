//go:build integration

package platform_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/keycloak/keycloaktest"
	"github.com/chat-platform/chat/local/platform/platformtest"
)

// signedIn is somebody with a token and an open socket.
type signedIn struct {
	id, session string
	tokens      keycloaktest.Tokens
	conn        *websocket.Conn
}

func signIn(t *testing.T, p *platformtest.Platform, r *keycloaktest.Realm, name string) *signedIn {
	t.Helper()
	return signInAgain(t, p, r, r.CreateUser(t, name), name)
}

// signInAgain logs somebody in who exists already.
func signInAgain(t *testing.T, p *platformtest.Platform, r *keycloaktest.Realm, id, name string) *signedIn {
	t.Helper()
	s := &signedIn{id: id, tokens: r.Login(t, name)}
	var claims struct {
		Session string `json:"sid"`
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(s.tokens.Access, ".")[1])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &claims))
	s.session = claims.Session
	s.conn, _, err = websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(p.URL, "http")+"/ws", nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.conn.CloseNow() })
	require.NoError(t, s.conn.Write(t.Context(), websocket.MessageText, []byte(`{"op":"identify","token":"`+s.tokens.Access+`"}`)))
	s.hears(t, "ready")
	status, body := callWith(t, p, s.tokens.Access)
	require.Equal(t, http.StatusOK, status, body)
	return s
}

// hears reads until an op comes.
func (s *signedIn) hears(t *testing.T, op string) {
	t.Helper()
	for said := ""; !strings.Contains(said, `"op":"`+op+`"`); {
		_, b, err := s.conn.Read(t.Context())
		require.NoError(t, err)
		said = string(b)
	}
}

// stays tells that nothing has happened: the socket answers, a request is taken.
func (s *signedIn) stays(t *testing.T, p *platformtest.Platform) {
	t.Helper()
	require.NoError(t, s.conn.Write(t.Context(), websocket.MessageText, []byte(`{"op":"heartbeat"}`)))
	s.hears(t, "heartbeat_ack")
	status, body := callWith(t, p, s.tokens.Access)
	require.Equal(t, http.StatusOK, status, body)
}

// gone waits for both ends: the socket closed with 4502, a request refused. The
// times are those since a moment: until the close was read, and until the answer
// to the first request that was refused.
func (s *signedIn) gone(t *testing.T, p *platformtest.Platform, since time.Time) (socket, request time.Duration) {
	t.Helper()
	refused := make(chan time.Duration, 1)
	go func() {
		end := time.After(waitLong)
		for tick := time.Tick(5 * time.Millisecond); ; {
			if status, _ := callWith(t, p, s.tokens.Access); status == http.StatusUnauthorized {
				refused <- time.Since(since)
				return
			}
			select {
			case <-tick:
			case <-end:
				refused <- -1
				return
			}
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), waitLong)
	defer cancel()
	var err error
	for err == nil {
		_, _, err = s.conn.Read(ctx)
	}
	socket = time.Since(since)
	require.EqualValues(t, 4502, websocket.CloseStatus(err), "%v", err)
	request = <-refused
	require.Positive(t, request, "requests are still taken")
	status, body := callWith(t, p, s.tokens.Access)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Contains(t, body, "token_revoked")
	return socket, request
}

func keycloakPlatform(r *keycloaktest.Realm) []string {
	return []string{"OIDC_ISSUER=" + r.Issuer, "CHAT_WATCHER_SECRET=" + keycloaktest.WatcherSecret, "RATE_LIMIT_READ=off"}
}

// longTokens lets tokens live for as long as may be, for tests of many samples.
func longTokens(t *testing.T, r *keycloaktest.Realm) {
	t.Helper()
	require.Equal(t, http.StatusNoContent, r.Admin(t, http.MethodPut, "", map[string]any{"accessTokenLifespan": 3600}, nil))
}

// ends are what ends a login at Keycloak.
var ends = []struct {
	name string
	do   func(*testing.T, *keycloaktest.Realm, *signedIn)
}{
	{"disabled", func(t *testing.T, r *keycloaktest.Realm, s *signedIn) { r.SetEnabled(t, s.id, false) }},
	{"deleted", func(t *testing.T, r *keycloaktest.Realm, s *signedIn) { r.DeleteUser(t, s.id) }},
	{"logout", func(t *testing.T, r *keycloaktest.Realm, s *signedIn) { r.Logout(t, s.tokens.ID) }},
	{"sessions", func(t *testing.T, r *keycloaktest.Realm, s *signedIn) { r.EndSessions(t, s.id) }},
	{"session", func(t *testing.T, r *keycloaktest.Realm, s *signedIn) { r.EndSession(t, s.session) }},
}

// number is what a variable says, or else n.
func number(t testing.TB, variable string, n int) int {
	t.Helper()
	if said := os.Getenv(variable); said != "" {
		var err error
		n, err = strconv.Atoi(said)
		require.NoError(t, err, variable)
	}
	return n
}

// Whatever ends a login at Keycloak cuts the socket and refuses the next request.
// The times, from just before Keycloak is told, are logged (CUTOFF_SAMPLES= for
// more of them); the bound that is asserted is a wait's.
func TestKeycloakCutsOff(t *testing.T) {
	r := keycloaktest.New(t)
	p := platformtest.Start(t, "", keycloakPlatform(r)...)
	samples := number(t, "CUTOFF_SAMPLES", 3)
	for _, end := range ends {
		t.Run(end.name, func(t *testing.T) {
			var sockets, requests []time.Duration
			for n := range samples {
				s := signIn(t, p, r, fmt.Sprintf("%s-%d", end.name, n))
				began := time.Now()
				end.do(t, r, s)
				socket, request := s.gone(t, p, began)
				sockets, requests = append(sockets, socket), append(requests, request)
			}
			t.Logf("%-8s  socket closed after %s  request refused after %s", end.name, spread(sockets), spread(requests))
		})
	}
}

// spread tells of times what is usual and what is worst.
func spread(all []time.Duration) string {
	slices.Sort(all)
	at := func(share float64) time.Duration {
		return all[min(len(all)-1, int(share*float64(len(all))))].Round(time.Millisecond)
	}
	return fmt.Sprintf("%v (median) %v (p90) %v (p99) %v (worst of %d)", at(0.5), at(0.9), at(0.99), at(1), len(all))
}

// Who is disabled while no watcher runs is cut off when it is back.
func TestWatcherWasAway(t *testing.T) {
	r := keycloaktest.New(t)
	p := platformtest.Start(t, "", keycloakPlatform(r)...)
	s := signIn(t, p, r, "away")
	require.Zero(t, p.Stop(t), p.Output())
	r.SetEnabled(t, s.id, false)
	p = platformtest.Start(t, p.Dir, keycloakPlatform(r)...)
	require.Eventually(t, func() bool {
		status, _ := callWith(t, p, s.tokens.Access)
		return status == http.StatusUnauthorized
	}, time.Minute, 10*time.Millisecond)
}
