//go:build integration

package outage_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/keycloak/keycloaktest"
	"github.com/chat-platform/chat/local/client"
)

// withRealm puts a story's people into a realm of Keycloak.
func withRealm(t *testing.T, s *story) {
	s.realm = keycloaktest.New(t)
	// The traffic is to need no new token on the way.
	require.Equal(t, http.StatusNoContent, s.realm.Admin(t, http.MethodPut, "", map[string]any{"accessTokenLifespan": 3600}, nil))
	people := []string{"owner", "visitor", "guest", "late", "stranger"}
	for i := range talkers {
		people = append(people, fmt.Sprintf("talker-%d", i))
	}
	for i := range channels {
		people = append(people, fmt.Sprintf("listener-%d", i))
	}
	s.ids = map[string]events.UserID{}
	for _, name := range people {
		s.ids[name] = events.UserID(s.realm.CreateUser(t, name))
	}
	s.more = append(s.more, "OIDC_ISSUER="+s.realm.Issuer)
}

// lateComers have their tokens before the outage, and come only then.
type lateComers struct {
	s      *story
	client *client.Client // has a token that the platform has not seen
	token  string
}

func (s *story) lateComers(t *testing.T) *lateComers {
	t.Helper()
	l := &lateComers{s: s, client: s.client(t, "late")}
	var err error
	l.token, err = l.client.Token(t.Context())
	require.NoError(t, err)
	return l
}

// come is in the middle of the outage: a token that was never seen is checked by
// the keys that are known; one that only the issuer could judge is neither taken
// nor called wrong; and nobody can log in.
func (l *lateComers) come(t *testing.T) {
	t.Helper()
	channel := l.s.channels[1]
	assert.NoError(t, l.client.Join(t.Context(), channel))
	l.s.send(t.Context(), l.client, channel, "here I am, late", time.Now())
	socket, hello, err := l.client.Connect(t.Context(), "")
	if assert.NoError(t, err) {
		assert.Equal(t, "ready", hello.Op)
		socket.Close()
	}
	status, problem := l.ask(t, l.ofAnotherKey(t))
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.NotEmpty(t, problem.Code)
	_, err = l.s.client(t, "stranger").Token(t.Context())
	assert.ErrorIs(t, err, events.ErrUnavailable)
}

// login is after the outage.
func (l *lateComers) login(t *testing.T) {
	t.Helper()
	assert.NoError(t, l.s.client(t, "stranger").Join(t.Context(), l.s.channels[1]))
	assert.Eventually(t, func() bool {
		status, _ := l.ask(t, l.ofAnotherKey(t))
		return status == http.StatusUnauthorized
	}, patience, step, "the issuer does not know that key")
}

// ofAnotherKey is the token with the name of a key that nobody has.
func (l *lateComers) ofAnotherKey(t *testing.T) string {
	t.Helper()
	head, rest, _ := strings.Cut(l.token, ".")
	b, err := base64.RawURLEncoding.DecodeString(head)
	require.NoError(t, err)
	var header map[string]any
	require.NoError(t, json.Unmarshal(b, &header))
	header["kid"] = "another"
	b, err = json.Marshal(header)
	require.NoError(t, err)
	return base64.RawURLEncoding.EncodeToString(b) + "." + rest
}

func (l *lateComers) ask(t *testing.T, token string) (int, client.Problem) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.s.platform.URL+"/v1/channels", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	var p client.Problem
	_ = json.NewDecoder(res.Body).Decode(&p)
	return res.StatusCode, p
}
