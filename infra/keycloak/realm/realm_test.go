package realm_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/keycloak/realm"
)

type client struct {
	ClientID                  string
	Secret                    *string
	PublicClient              bool
	StandardFlowEnabled       bool
	ImplicitFlowEnabled       bool
	DirectAccessGrantsEnabled bool
	ServiceAccountsEnabled    bool
	FullScopeAllowed          *bool
	RedirectURIs              []string `json:"redirectUris"`
	WebOrigins                []string
	Attributes                map[string]string
}

type file struct {
	Realm      string
	SSL        string `json:"sslRequired"`
	Expiration int    `json:"eventsExpiration"`
	Attributes map[string]string
	Clients    []client
	Roles      struct{ Realm []struct{ Name string } }
	Users      []struct {
		Username    string
		RealmRoles  []string
		ClientRoles map[string][]string
		Credentials []struct{ Value string }
	}
	ClientScopes any
}

func read(t *testing.T, c realm.Config) (file, map[string]client) {
	t.Helper()
	b, err := realm.JSON(c)
	require.NoError(t, err)
	var f file
	require.NoError(t, json.Unmarshal(b, &f))
	clients := map[string]client{}
	for _, c := range f.Clients {
		require.NotContains(t, clients, c.ClientID)
		clients[c.ClientID] = c
	}
	require.NotRegexp(t, `\$\{[A-Z]`, string(b), "a variable is left")
	return f, clients
}

// What a deployment gets holds nobody's password, no secret, and no way to a
// token but those that are meant.
func TestProduction(t *testing.T) {
	f, clients := read(t, realm.Config{URL: "https://chat.example.com"})
	require.Equal(t, "chat", f.Realm)
	require.Equal(t, "external", f.SSL)
	require.GreaterOrEqual(t, f.Expiration, 24*3600, "seconds; the longest that a token may live")
	require.Equal(t, "2592000", f.Attributes["adminEventsExpiration"], "thirty days: the watcher may not look")
	require.Nil(t, f.ClientScopes, "a list of client scopes would take the place of Keycloak's own")
	require.Len(t, clients, 3)
	for id, c := range clients {
		require.Nil(t, c.Secret, id)
		require.False(t, c.DirectAccessGrantsEnabled, id)
		require.False(t, c.ImplicitFlowEnabled, id)
		require.NotNil(t, c.FullScopeAllowed, id)
		require.False(t, *c.FullScopeAllowed, id)
		require.Equal(t, id != "chat", c.ServiceAccountsEnabled, id)
		require.Equal(t, id == "chat", c.PublicClient, id)
		require.Equal(t, id == "chat", c.StandardFlowEnabled, id)
	}
	page := clients["chat"]
	require.Equal(t, []string{"https://chat.example.com/"}, page.RedirectURIs)
	require.Equal(t, []string{"https://chat.example.com"}, page.WebOrigins)
	require.Equal(t, "https://chat.example.com/", page.Attributes["post.logout.redirect.uris"])
	require.Equal(t, "S256", page.Attributes["pkce.code.challenge.method"])
	require.Len(t, f.Users, 2, "the accounts of the services")
	for _, u := range f.Users {
		require.Empty(t, u.Credentials, u.Username)
		require.True(t, strings.HasPrefix(u.Username, "service-account-"), u.Username)
		if u.Username == "service-account-chat-watcher" {
			require.Equal(t, map[string][]string{"realm-management": {"view-events", "view-users"}}, u.ClientRoles)
			require.Empty(t, u.RealmRoles)
		}
	}
	require.Len(t, f.Roles.Realm, 1)
	require.Equal(t, events.RoleImport, f.Roles.Realm[0].Name)

	f, clients = read(t, realm.Config{Name: "talk", WatcherSecret: strings.Repeat("w", 16), ImportSecret: strings.Repeat("i", 16)})
	require.Equal(t, "talk", f.Realm)
	require.Equal(t, []string{"http://localhost:8080/"}, clients["chat"].RedirectURIs)
	require.Equal(t, strings.Repeat("w", 16), *clients["chat-watcher"].Secret)
	require.Equal(t, strings.Repeat("i", 16), *clients["chat-import"].Secret)
}

func TestDevelopment(t *testing.T) {
	f, clients := read(t, realm.Config{URL: "http://localhost:9000/", Development: true})
	require.Contains(t, clients["chat"].RedirectURIs, "http://localhost:9000/")
	require.Equal(t, "S256", clients["chat"].Attributes["pkce.code.challenge.method"], "the rest of the client stays")
	require.False(t, clients["chat"].DirectAccessGrantsEnabled)
	require.True(t, clients["chat-tools"].DirectAccessGrantsEnabled)
	require.Equal(t, realm.DevelopmentSecret, *clients["chat-watcher"].Secret)
	people := map[string]string{}
	for _, u := range f.Users {
		if len(u.Credentials) > 0 {
			people[u.Username] = u.Credentials[0].Value
		}
	}
	require.Equal(t, "chat", people["alice"])
	require.Contains(t, people, "corpus-importer")

	f, clients = read(t, realm.Config{Development: true, DemoPassword: "other", WatcherSecret: "short"})
	require.Equal(t, "other", f.Users[len(f.Users)-1].Credentials[0].Value)
	require.Equal(t, "short", *clients["chat-watcher"].Secret)
}

func TestRefuses(t *testing.T) {
	for name, c := range map[string]realm.Config{
		"CHAT_URL":            {URL: "chat.example.com"},
		"CHAT_REALM":          {Name: "a/b"},
		"CHAT_WATCHER_SECRET": {WatcherSecret: "short"},
		"CHAT_IMPORT_SECRET":  {ImportSecret: "short"},
	} {
		_, err := realm.JSON(c)
		require.ErrorContains(t, err, name)
	}
	for _, u := range []string{"https://chat.example.com/path", "https://chat.example.com?x", "ftp://x", "https://x#y"} {
		require.Error(t, realm.Config{URL: u}.Validate(), u)
	}
}
