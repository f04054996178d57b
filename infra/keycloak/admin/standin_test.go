package admin_test

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	mathrand "math/rand/v2"
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
	expire  int   // seconds
	clock   int64 // of the last event, Unix milliseconds
	frozen  bool
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
		_ = json.NewEncoder(w).Encode(map[string]any{
			"eventsEnabled": s.keep, "eventsExpiration": s.expire, "adminEventsEnabled": s.keep, "adminEventsDetailsEnabled": true,
			"enabledEventTypes": []string{"LOGIN", "LOGOUT", "REVOKE_GRANT", "DELETE_ACCOUNT", "USER_DISABLED_BY_PERMANENT_LOCKOUT"},
		})
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

// list answers newest first, a page. Events of one millisecond have another order
// each time: Keycloak promises none.
func (s *standIn) list(w http.ResponseWriter, r *http.Request, all []map[string]any, wanted func(map[string]any) bool) {
	q := r.URL.Query()
	number := func(name string, absent int64) int64 {
		if !q.Has(name) {
			return absent
		}
		n, err := strconv.ParseInt(q.Get(name), 10, 64)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
		return n
	}
	from, to, most := number("dateFrom", 0), number("dateTo", math.MaxInt64), int(number("max", 100))
	all = slices.Clone(all)
	mathrand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	slices.SortStableFunc(all, func(a, b map[string]any) int { return cmp.Compare(b["time"].(int64), a["time"].(int64)) })
	page := []map[string]any{}
	for _, e := range all {
		if at := e["time"].(int64); at >= from && at <= to && wanted(e) && len(page) < most {
			page = append(page, e)
		}
	}
	_ = json.NewEncoder(w).Encode(page)
}

func (s *standIn) now() int64 {
	if !s.frozen {
		s.clock = max(s.clock+1, time.Now().UnixMilli())
	}
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

func (s *standIn) joinAndLeaveGroup(_ testing.TB, id string) {
	s.admin("CREATE", "GROUP", "groups/g1", `{"name":"g1"}`)
	s.admin("CREATE", "GROUP_MEMBERSHIP", "users/"+id+"/groups/g1", `{"name":"g1"}`)
	s.admin("DELETE", "GROUP_MEMBERSHIP", "users/"+id+"/groups/g1", `{"name":"g1"}`)
}

func (s *standIn) takeRolesFromOthers(testing.TB) (deeds int) {
	s.admin("CREATE", "REALM_ROLE", "roles/r", `{"name":"r"}`)
	s.admin("CREATE", "REALM_ROLE_MAPPING", "groups/g2/role-mappings/realm", `[]`)
	s.admin("DELETE", "REALM_ROLE_MAPPING", "groups/g2/role-mappings/realm", `[]`)
	s.admin("CREATE", "REALM_ROLE", "roles/r/composites", `[]`)
	s.admin("DELETE", "REALM_ROLE", "roles/r/composites", `[]`)
	s.admin("DELETE", "REALM_ROLE", "roles/r", "")
	s.admin("DELETE", "GROUP", "groups/g2", "")
	s.admin("DELETE", "REALM_SCOPE_MAPPING", "clients/c/scope-mappings/realm", `[]`)
	return 5
}

func (s *standIn) revoke(_ testing.TB, before time.Time) {
	s.admin("UPDATE", "REALM", "", fmt.Sprintf(`{"notBefore":%d}`, before.Unix()))
	s.admin("ACTION", "REALM", "push-revocation", `{}`)
	s.admin("UPDATE", "REALM", "", `{"displayName":"Other"}`)
}

func (s *standIn) setPassword(_ testing.TB, id string) {
	s.admin("ACTION", "USER", "users/"+id+"/reset-password", "")
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

// A user's tokens are refused from a little after the event's time on; a session's
// whenever they were issued.
func TestNotBefore(t *testing.T) {
	s := newStandIn(t)
	c, err := admin.New(s.config())
	require.NoError(t, err)
	s.setEnabled(t, "u1", false)
	s.endSession(t, "s2")
	s.revoke(t, time.Now().Add(-time.Minute))
	s.revoke(t, time.Now().Add(time.Hour))
	s.revoke(t, time.Now().Add(-25*time.Hour)) // no token is that old
	after := map[string]time.Duration{}
	_, err = c.Changes(t.Context(), time.Now().Add(-time.Hour), func(id string, at time.Time, c events.UserCutOff) error {
		after[fmt.Sprint(c.UserID, c.SessionID, len(after))] = c.NotBefore.Sub(at)
		return nil
	})
	require.NoError(t, err)
	require.Len(t, after, 4)
	require.Equal(t, time.Second, after["u10"])
	require.Zero(t, after["s21"])
	require.InDelta(t, -time.Minute, after["2"], float64(5*time.Second), "what the realm says")
	require.Equal(t, time.Second, after["3"], "none of the future")
}

// More than a page, also of one millisecond, while more comes.
func TestPages(t *testing.T) {
	for name, same := range map[string]int{"each at its own time": 1, "some at a time": 7, "a page at a time": 100, "more at a time": 350, "all at once": 1200} {
		t.Run(name, func(t *testing.T) {
			s := newStandIn(t)
			c, err := admin.New(s.config())
			require.NoError(t, err)
			for i := range 1200 {
				s.frozen = i%same != 0
				s.remove(t, fmt.Sprint("u", i))
			}
			reads := 0
			s.answer = func(http.ResponseWriter) bool {
				if reads++; reads == 3 { // between two pages of the first list; the guard holds the lock
					s.admins = append(s.admins, map[string]any{"id": rand.Text(), "time": s.now(), "operationType": "DELETE", "resourceType": "USER", "resourcePath": "users/late"})
				}
				return false
			}
			all, ids := happened(t, c, time.Now().Add(-time.Hour))
			slices.Sort(ids)
			require.Len(t, slices.Compact(ids), len(ids), "none comes twice")
			require.GreaterOrEqual(t, len(all), 1200)
			require.Less(t, reads, 50)
		})
	}
}

// Events that the realm forgets before tokens end would be missing after an absence;
// the realm is looked at again with every token.
func TestForgetsTooSoon(t *testing.T) {
	s := newStandIn(t)
	cfg := s.config()
	cfg.TokenMaxAge = 10 * time.Minute
	c, err := admin.New(cfg)
	require.NoError(t, err)
	s.expire = 600
	happened(t, c, time.Now())
	s.mu.Lock()
	s.expire, s.token = 599, "" // and the token is refused
	s.mu.Unlock()
	_, err = c.Changes(t.Context(), time.Now(), nil)
	require.NoError(t, err, "a new token was had in the middle")
	_, err = c.Changes(t.Context(), time.Now(), nil)
	require.ErrorIs(t, err, events.ErrInvalid)
	require.ErrorContains(t, err, "9m59s")
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
