//go:build integration

package platform_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
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
	id := r.CreateUser(t, name)
	return connect(t, p, id, r.Login(t, name))
}

// connect opens a socket for somebody who has logged in.
func connect(t *testing.T, p *platformtest.Platform, id string, tokens keycloaktest.Tokens) *signedIn {
	t.Helper()
	s := &signedIn{id: id, tokens: tokens}
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

// accepted renews tokens until they are: one that is as young as what cut the last
// one off may be refused still.
func accepted(t *testing.T, p *platformtest.Platform, r *keycloaktest.Realm, tokens keycloaktest.Tokens) keycloaktest.Tokens {
	t.Helper()
	for end := time.Now().Add(waitLong); ; tokens = r.Refresh(t, tokens.Refresh) {
		require.Empty(t, tokens.Error, tokens.Description)
		status, body := callWith(t, p, tokens.Access)
		if status == http.StatusOK {
			return tokens
		}
		require.True(t, time.Now().Before(end), "still refused: %s", body)
		<-time.After(100 * time.Millisecond)
	}
}

// refused waits until a token is.
func refused(t *testing.T, p *platformtest.Platform, tokens keycloaktest.Tokens) {
	t.Helper()
	require.Eventually(t, func() bool {
		status, _ := callWith(t, p, tokens.Access)
		return status == http.StatusUnauthorized
	}, waitLong, waitStep)
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

// closed is the code with which the socket closes.
func (s *signedIn) closed(t *testing.T) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLong)
	defer cancel()
	for {
		if _, _, err := s.conn.Read(ctx); err != nil {
			return int(websocket.CloseStatus(err))
		}
	}
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
	code := s.closed(t)
	socket = time.Since(since)
	require.Equal(t, 4502, code)
	request = <-refused
	require.Positive(t, request, "requests are still taken")
	status, body := callWith(t, p, s.tokens.Access)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Contains(t, body, "token_revoked")
	return socket, request
}

// keycloakPlatform lets people of the realm in, has no limits, and takes no silence
// for a lost connection. It has no watcher.
func keycloakPlatform(r *keycloaktest.Realm) []string {
	return []string{"OIDC_ISSUER=" + r.Issuer, "RATE_LIMIT_READ=off", "NOTIFICATION_HEARTBEAT_INTERVAL=1h"}
}

// watchedPlatform has one.
func watchedPlatform(r *keycloaktest.Realm) []string {
	return append(keycloakPlatform(r), "CHAT_WATCHER_SECRET="+keycloaktest.WatcherSecret)
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
	p := platformtest.Start(t, "", watchedPlatform(r)...)
	samples := number(t, "CUTOFF_SAMPLES", 3)
	for _, end := range ends {
		t.Run(end.name, func(t *testing.T) {
			var sockets, requests []time.Duration
			for n := range samples {
				s := signIn(t, p, r, fmt.Sprintf("%s-%d", end.name, n))
				<-time.After(rand.N(time.Second)) // or each would come at the same moment of the watcher's turn
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

// A role that is taken away costs its holders a new token, and nobody else anything,
// whether it was theirs or a group's; the realm's revocation is for everyone.
func TestKeycloakTakesAway(t *testing.T) {
	r := keycloaktest.New(t)
	p := platformtest.Start(t, "", watchedPlatform(r)...)
	plain := signIn(t, p, r, "plain")
	var role map[string]any
	require.Equal(t, http.StatusOK, r.Admin(t, http.MethodGet, "/roles/"+events.RoleImport, nil, &role))
	own := r.CreateUser(t, "own", events.RoleImport)
	member := r.CreateUser(t, "member")
	var groups []struct{ ID string }
	require.Equal(t, http.StatusCreated, r.Admin(t, http.MethodPost, "/groups", map[string]any{"name": "importers"}, nil))
	require.Equal(t, http.StatusOK, r.Admin(t, http.MethodGet, "/groups?search=importers", nil, &groups))
	mappings := "/groups/" + groups[0].ID + "/role-mappings/realm"
	require.Equal(t, http.StatusNoContent, r.Admin(t, http.MethodPost, mappings, []any{role}, nil))
	require.Equal(t, http.StatusNoContent, r.Admin(t, http.MethodPut, "/users/"+member+"/groups/"+groups[0].ID, nil, nil))
	ofGroup, ofUser := connect(t, p, member, r.Login(t, "member")), connect(t, p, own, r.Login(t, "own"))
	require.Contains(t, rolesOf(t, ofGroup.tokens), events.RoleImport)

	require.Equal(t, http.StatusNoContent, r.Admin(t, http.MethodDelete, mappings, []any{role}, nil))
	refused(t, p, ofGroup.tokens)
	refused(t, p, ofUser.tokens)
	require.NotContains(t, rolesOf(t, accepted(t, p, r, r.Refresh(t, ofGroup.tokens.Refresh))), events.RoleImport)
	renewed := accepted(t, p, r, r.Refresh(t, ofUser.tokens.Refresh))
	require.Contains(t, rolesOf(t, renewed), events.RoleImport)
	plain.stays(t, p)

	require.Equal(t, http.StatusNoContent, r.Admin(t, http.MethodDelete, "/users/"+own+"/role-mappings/realm", []any{role}, nil))
	require.Equal(t, 4004, ofUser.closed(t))
	refused(t, p, renewed)
	require.NotContains(t, rolesOf(t, accepted(t, p, r, r.Refresh(t, renewed.Refresh))), events.RoleImport)
	plain.stays(t, p)

	require.Equal(t, http.StatusNoContent, r.Admin(t, http.MethodPut, "", map[string]any{"notBefore": time.Now().Unix() + 1}, nil))
	plain.gone(t, p, time.Now())
}

// rolesOf are the roles in an access token.
func rolesOf(t *testing.T, tokens keycloaktest.Tokens) []string {
	t.Helper()
	var claims struct {
		Realm struct {
			Roles []string `json:"roles"`
		} `json:"realm_access"`
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(tokens.Access, ".")[1])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &claims))
	return claims.Realm.Roles
}

// Who is disabled while no watcher runs is cut off when it is back.
func TestWatcherWasAway(t *testing.T) {
	r := keycloaktest.New(t)
	p := platformtest.Start(t, "", watchedPlatform(r)...)
	s := signIn(t, p, r, "away")
	require.Zero(t, p.Stop(t), p.Output())
	r.SetEnabled(t, s.id, false)
	p = platformtest.Start(t, p.Dir, watchedPlatform(r)...)
	require.Eventually(t, func() bool {
		status, _ := callWith(t, p, s.tokens.Access)
		return status == http.StatusUnauthorized
	}, time.Minute, 10*time.Millisecond)
}
