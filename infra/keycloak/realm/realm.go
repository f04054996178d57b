// Package realm is the identity side of the platform as code: Keycloak's realm
// file with its clients, roles and mappers.
//
// chat-realm.json is whole and holds no secret. Keycloak imports it as it is: it
// puts CHAT_URL, the page's address, in by itself, and makes up the secrets of
// the clients that have one. [JSON] gives the same realm with the secrets that a
// deployment wants to choose.
//
// development.json is laid over it for a Keycloak on the developer's own machine
// and nowhere else: people whose password everybody knows, secrets that stand in
// the file, a client that takes passwords, and any port of this machine as the
// page's address.
package realm

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

//go:embed chat-realm.json
var chat []byte

//go:embed development.json
var development []byte

// MinSecret is the fewest bytes of a client's secret outside development.
const MinSecret = 16

// DevelopmentSecret is that of the services' clients in the development realm.
const DevelopmentSecret = "development"

// Config is what differs between deployments.
type Config struct {
	Name          string `env:"CHAT_REALM" envDefault:"chat"`                // of the realm; the end of its issuer's URL
	URL           string `env:"CHAT_URL" envDefault:"http://localhost:8080"` // of the page: where logins and logouts come back to
	WatcherSecret string `env:"CHAT_WATCHER_SECRET"`                         // of the client chat-watcher; empty: Keycloak makes one up
	ImportSecret  string `env:"CHAT_IMPORT_SECRET"`                          // of the client chat-import, likewise
	DemoPassword  string `env:"CHAT_DEMO_PASSWORD"`                          // of the people of the development realm; "chat" if empty
	Development   bool   `env:"-"`                                           // for this machine only
}

// Validate says which variable cannot be.
func (c Config) Validate() error {
	if c.Name != "" && strings.ContainsAny(c.Name, "/?#% ") {
		return fmt.Errorf("CHAT_REALM is %q, expected a name that can stand in a URL", c.Name)
	}
	if c.URL != "" {
		u, err := url.Parse(c.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("CHAT_URL is %q, expected a URL like https://chat.example.com", c.URL)
		}
	}
	for name, secret := range map[string]string{"CHAT_WATCHER_SECRET": c.WatcherSecret, "CHAT_IMPORT_SECRET": c.ImportSecret} {
		if secret != "" && len(secret) < MinSecret && !c.Development {
			return fmt.Errorf("%s has %d bytes, expected %d at least, or none to let Keycloak make it up", name, len(secret), MinSecret)
		}
	}
	return nil
}

// JSON is the realm file for Keycloak's start-up import or its admin API. With
// secrets given it holds them.
func JSON(c Config) ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("realm: %w", err)
	}
	values := map[string]string{
		"CHAT_URL": strings.TrimRight(c.URL, "/"), "CHAT_WATCHER_SECRET": c.WatcherSecret,
		"CHAT_IMPORT_SECRET": c.ImportSecret, "CHAT_DEMO_PASSWORD": c.DemoPassword,
	}
	realm, err := parse(chat, values)
	if err != nil {
		return nil, fmt.Errorf("chat-realm.json: %w", err)
	}
	if c.Development {
		over, err := parse(development, values)
		if err != nil {
			return nil, fmt.Errorf("development.json: %w", err)
		}
		realm = merge(realm, over)
	}
	over := map[string]any{"clients": []any{}}
	for client, secret := range map[string]string{"chat-watcher": c.WatcherSecret, "chat-import": c.ImportSecret} {
		if secret != "" {
			over["clients"] = append(over["clients"].([]any), map[string]any{"clientId": client, "secret": secret})
		}
	}
	if c.Name != "" {
		over["realm"] = c.Name
	}
	b, err := json.MarshalIndent(merge(realm, over), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("realm: %w", err)
	}
	return append(b, '\n'), nil
}

// variable is ${NAME:default}; Keycloak's own placeholders are in small letters.
var variable = regexp.MustCompile(`\$\{([A-Z][A-Z0-9_]*):([^}]*)\}`)

func parse(file []byte, values map[string]string) (map[string]any, error) {
	var realm map[string]any
	if err := json.Unmarshal(file, &realm); err != nil {
		return nil, err
	}
	return fill(realm, values).(map[string]any), nil
}

// fill puts values, or the defaults in the file, in the place of variables.
func fill(v any, values map[string]string) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = fill(e, values)
		}
	case []any:
		for i, e := range v {
			v[i] = fill(e, values)
		}
	case string:
		return variable.ReplaceAllStringFunc(v, func(found string) string {
			m := variable.FindStringSubmatch(found)
			if value := values[m[1]]; value != "" {
				return value
			}
			return m[2]
		})
	}
	return v
}

// merge lays over on base: objects by key, lists of clients and users by their
// names, anything else is replaced.
func merge(base, over map[string]any) map[string]any {
	for k, v := range over {
		switch v := v.(type) {
		case map[string]any:
			if b, ok := base[k].(map[string]any); ok {
				base[k] = merge(b, v)
				continue
			}
		case []any:
			if b, ok := base[k].([]any); ok && (k == "clients" || k == "users") {
				base[k] = mergeNamed(b, v)
				continue
			}
		}
		base[k] = v
	}
	return base
}

func mergeNamed(base, over []any) []any {
	for _, o := range over {
		found := false
		for i, b := range base {
			if name(b) == name(o) {
				base[i], found = merge(b.(map[string]any), o.(map[string]any)), true
			}
		}
		if !found {
			base = append(base, o)
		}
	}
	return base
}

func name(v any) any {
	m, _ := v.(map[string]any)
	if id, ok := m["clientId"]; ok {
		return id
	}
	return m["username"]
}
