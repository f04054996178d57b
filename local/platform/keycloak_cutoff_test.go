//go:build integration

package platform_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
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
	s := &signedIn{id: r.CreateUser(t, name), tokens: r.Login(t, name)}
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
	for said := ""; !strings.Contains(said, `"op":"ready"`); {
		_, b, err := s.conn.Read(t.Context())
		require.NoError(t, err)
		said = string(b)
	}
	status, body := callWith(t, p, s.tokens.Access)
	require.Equal(t, http.StatusOK, status, body)
	return s
}

// gone waits for both ends: the socket closed with 4502, a request refused.
func (s *signedIn) gone(t *testing.T, p *platformtest.Platform, since time.Time) (socket, request time.Duration) {
	t.Helper()
	refused := make(chan time.Duration, 1)
	go func() {
		for range 6000 {
			if status, _ := callWith(t, p, s.tokens.Access); status == http.StatusUnauthorized {
				break
			}
		}
		refused <- time.Since(since)
	}()
	var err error
	for err == nil {
		_, _, err = s.conn.Read(t.Context())
	}
	socket = time.Since(since)
	require.EqualValues(t, 4502, websocket.CloseStatus(err), "%v", err)
	request = <-refused
	status, body := callWith(t, p, s.tokens.Access)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Contains(t, body, "token_revoked")
	return socket, request
}

func keycloakPlatform(r *keycloaktest.Realm) []string {
	return []string{"OIDC_ISSUER=" + r.Issuer, "CHAT_WATCHER_SECRET=" + keycloaktest.WatcherSecret, "RATE_LIMIT_READ=off"}
}

// Whatever ends a login at Keycloak cuts the socket and refuses the next request.
// The times are logged; the bound that is asserted is a wait's.
func TestKeycloakCutsOff(t *testing.T) {
	r := keycloaktest.New(t)
	p := platformtest.Start(t, "", keycloakPlatform(r)...)
	for name, end := range map[string]func(*signedIn){
		"disabled": func(s *signedIn) { r.SetEnabled(t, s.id, false) },
		"deleted":  func(s *signedIn) { r.DeleteUser(t, s.id) },
		"logout":   func(s *signedIn) { r.Logout(t, s.tokens.ID) },
		"sessions": func(s *signedIn) { r.EndSessions(t, s.id) },
		"session":  func(s *signedIn) { r.EndSession(t, s.session) },
	} {
		t.Run(name, func(t *testing.T) {
			var sockets, requests []time.Duration
			for n := range 5 {
				s := signIn(t, p, r, fmt.Sprintf("%s-%d", name, n))
				began := time.Now()
				end(s)
				socket, request := s.gone(t, p, began)
				sockets, requests = append(sockets, socket), append(requests, request)
			}
			slices.Sort(sockets)
			slices.Sort(requests)
			t.Logf("%s: socket closed after %v (median), %v (worst); request refused after %v, %v, of %d", name,
				sockets[len(sockets)/2], sockets[len(sockets)-1], requests[len(requests)/2], requests[len(requests)-1], len(sockets))
		})
	}
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
