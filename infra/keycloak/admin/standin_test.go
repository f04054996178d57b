package admin_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/keycloak/admin"
)

const secret = "a secret of the test"

// standIn answers as Keycloak's admin API does, as far as the client asks.
type standIn struct {
	server *httptest.Server

	mu      sync.Mutex
	token   string
	keep    bool
	clock   int64
	admins  []map[string]any
	users   []map[string]any
	answer  func(w http.ResponseWriter) bool // answers in its place, if it says so
	logins  int
	request int
}

func newStandIn(t testing.TB) *standIn {
	s := &standIn{keep: true}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /realms/x/protocol/openid-connect/token", s.login0)
	mux.HandleFunc("GET /admin/realms/x/admin-events", s.guard(func(w http.ResponseWriter, r *http.Request) {
		s.list(w, r, s.admins, func(e map[string]any) bool {
			q := r.URL.Query()
			return slices.Contains(q["operationTypes"], e["operationType"].(string)) && slices.Contains(q["resourceTypes"], e["resourceType"].(string))
		})
	}))
	mux.HandleFunc("GET /admin/realms/x/events", s.guard(func(w http.ResponseWriter, r *http.Request) {
		s.list(w, r, s.users, func(e map[string]any) bool { return slices.Contains(r.URL.Query()["type"], e["type"].(string)) })
	}))
	mux.HandleFunc("GET /admin/realms/x/events/config", s.guard(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"eventsEnabled": s.keep, "enabledEventTypes": []string{"LOGOUT"}, "adminEventsEnabled": s.keep, "adminEventsDetailsEnabled": true})
	}))
	s.server = httptest.NewServer(mux)
	t.Cleanup(s.server.Close)
	return s
}

func (s *standIn) config() admin.Config {
	return admin.Config{Issuer: s.server.URL + "/realms/x", ClientID: "chat-watcher", Secret: secret}
}

func (s *standIn) login0(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logins++
	if r.FormValue("client_id") != "chat-watcher" || r.FormValue("client_secret") != secret {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	payload := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"iat":%d,"jti":%q}`, time.Now().Unix(), rand.Text()))
	s.token = "e30." + payload + ".c2ln"
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": s.token, "expires_in": 300})
}

func (s *standIn) guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.request++
		if s.token == "" || r.Header.Get("Authorization") != "Bearer "+s.token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if s.answer != nil && s.answer(w) {
			return
		}
		next(w, r)
	}
}

// list answers newest first, a page.
func (s *standIn) list(w http.ResponseWriter, r *http.Request, all []map[string]any, wanted func(map[string]any) bool) {
	q := r.URL.Query()
	number := func(name string) int64 {
		n, err := strconv.ParseInt(q.Get(name), 10, 64)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
		return n
	}
	from, first, most := number("dateFrom"), int(number("first")), int(number("max"))
	page := []map[string]any{}
	for _, e := range slices.Backward(all) {
		if e["time"].(int64) < from || !wanted(e) {
			continue
		}
		if first--; first < 0 && len(page) < most {
			page = append(page, e)
		}
	}
	_ = json.NewEncoder(w).Encode(page)
}

func (s *standIn) now() int64 {
	s.clock = max(s.clock+1, time.Now().UnixMilli())
	return s.clock
}

func (s *standIn) admin(operation, resource, path, representation string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := map[string]any{"id": rand.Text(), "time": s.now(), "operationType": operation, "resourceType": resource, "resourcePath": path}
	if representation != "" {
		e["representation"] = representation
	}
	s.admins = append(s.admins, e)
}

func (s *standIn) user(typ, user, session string, details map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users = append(s.users, map[string]any{"id": rand.Text(), "time": s.now(), "type": typ, "userId": user, "sessionId": session, "details": details})
}

func (s *standIn) create(_ testing.TB, name string) string {
	s.admin("CREATE", "USER", "users/id-of-"+name, `{"enabled":true}`)
	return "id-of-" + name
}

func (s *standIn) login(_ testing.TB, name string) (string, func(testing.TB)) {
	session := rand.Text()
	s.user("LOGIN", "id-of-"+name, session, nil)
	return session, func(testing.TB) { s.user("LOGOUT", "id-of-"+name, session, nil) }
}

func (s *standIn) setEnabled(_ testing.TB, id string, enabled bool) {
	s.admin("UPDATE", "USER", "users/"+id, fmt.Sprintf(`{"enabled":%t}`, enabled))
}

func (s *standIn) rename(_ testing.TB, id, first string) {
	s.admin("UPDATE", "USER", "users/"+id, fmt.Sprintf(`{"firstName":%q}`, first))
}
func (s *standIn) remove(_ testing.TB, id string) { s.admin("DELETE", "USER", "users/"+id, "") }
func (s *standIn) endSessions(_ testing.TB, id string) {
	s.admin("ACTION", "USER", "users/"+id+"/logout", "")
}
func (s *standIn) endSession(_ testing.TB, id string) {
	s.admin("DELETE", "USER_SESSION", "sessions/"+id, "")
}

func (s *standIn) giveAndTakeRole(_ testing.TB, id string) {
	s.admin("CREATE", "REALM_ROLE_MAPPING", "users/"+id+"/role-mappings/realm", `[]`)
	s.admin("DELETE", "REALM_ROLE_MAPPING", "users/"+id+"/role-mappings/realm", `[]`)
}

func (s *standIn) endAllSessions(testing.TB) {
	s.admin("ACTION", "REALM", "logout-all", "{}")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = ""
}

func (s *standIn) keepEvents(_ testing.TB, keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep = keep
}

func TestStandIn(t *testing.T) { suite(t, newStandIn(t)) }

// What only happens seldom on a real server.
func TestRare(t *testing.T) {
	s := newStandIn(t)
	c, err := admin.New(s.config())
	require.NoError(t, err)
	since := time.Now().Add(-time.Hour)
	s.user("DELETE_ACCOUNT", "u1", "", nil)
	s.user("USER_DISABLED_BY_PERMANENT_LOCKOUT", "u2", "", nil)
	s.user("REVOKE_GRANT", "u3", "s3", map[string]string{"refresh_token_type": "Refresh"})
	s.user("REVOKE_GRANT", "u4", "s4", nil)
	s.user("LOGOUT", "u5", "", nil)
	s.admin("DELETE", "USER", "users/u6/credentials/1", "")
	s.admin("UPDATE", "USER", "users/u7", "not json")
	s.admin("DELETE", "USER", "users", "")
	all, _ := happened(t, c, since)
	require.Equal(t, []events.UserCutOff{
		{UserID: "u1", Reason: events.CutOffDeleted}, {UserID: "u2", Reason: events.CutOffDisabled}, {UserID: "u3", SessionID: "s3", Reason: events.CutOffLoggedOut},
	}, all)
}

// More than a page, while more comes.
func TestPages(t *testing.T) {
	s := newStandIn(t)
	c, err := admin.New(s.config())
	require.NoError(t, err)
	for i := range 1200 {
		s.remove(t, fmt.Sprint("u", i))
	}
	reads := 0
	s.answer = func(http.ResponseWriter) bool {
		if reads++; reads == 3 { // between two pages of the first list; the guard holds the lock
			s.admins = append(s.admins, map[string]any{"id": rand.Text(), "time": s.now(), "operationType": "DELETE", "resourceType": "USER", "resourcePath": "users/late"})
		}
		return false
	}
	_, ids := happened(t, c, time.Now().Add(-time.Hour))
	slices.Sort(ids)
	require.GreaterOrEqual(t, len(slices.Compact(ids)), 1200)
}

func TestWhatMayBeAnswered(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		kind   error
	}{
		"a fault there":   {http.StatusBadGateway, "", events.ErrUnavailable},
		"not permitted":   {http.StatusForbidden, "", events.ErrForbidden},
		"another version": {http.StatusNotFound, "gone", nil},
		"no JSON":         {http.StatusOK, "<html>", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStandIn(t)
			s.answer = func(w http.ResponseWriter) bool {
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
				return true
			}
			c, err := admin.New(s.config())
			require.NoError(t, err)
			_, err = c.Changes(t.Context(), time.Now(), nil)
			require.Error(t, err)
			if tt.kind != nil {
				require.ErrorIs(t, err, tt.kind)
			}
			require.NotContains(t, err.Error(), s.token)
		})
	}
}
