package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chat-platform/chat/events"
)

const (
	pageSize = 100
	mostRead = 1_000_000 // events of one call

	// settle is how long after an event's time a token may be issued that does not
	// know of it yet: Keycloak tells the time before it has finished, its servers'
	// clocks differ a little, and tokens tell theirs to the second.
	settle = time.Second

	// maxAge is more than any token lives.
	maxAge = 24 * time.Hour
)

// change is a cut-off, and the id and the time of Keycloak's event that tells of it.
type change struct {
	id string
	at time.Time
	c  events.UserCutOff
}

// What of Keycloak's events is asked for.
var (
	adminEvents = url.Values{
		"operationTypes": {"UPDATE", "DELETE", "ACTION"},
		"resourceTypes": {
			"USER", "USER_SESSION", "REALM",
			"REALM_ROLE_MAPPING", "CLIENT_ROLE_MAPPING", "GROUP_MEMBERSHIP", "REALM_SCOPE_MAPPING", "GROUP", "REALM_ROLE", "CLIENT_ROLE",
		},
	}
	userEvents = []string{"LOGOUT", "REVOKE_GRANT", "DELETE_ACCOUNT", "USER_DISABLED_BY_PERMANENT_LOCKOUT"}
)

// Changes calls f with what has cut tokens off since a time of Keycloak's, oldest
// first, with the id and the time of the event that tells of it; Until is left to
// the caller. It calls f once all is read, stops with f's error, and gives
// Keycloak's time as of just before it asked.
//
// An event may become visible a little after its time: the caller asks again from
// somewhat earlier and tells by the id what it knows.
func (c *Client) Changes(ctx context.Context, from time.Time, f func(id string, at time.Time, c events.UserCutOff) error) (time.Time, error) {
	if err := c.check(ctx); err != nil {
		return time.Time{}, err
	}
	now := c.now()
	all, err := read[adminEvent](ctx, c, "/admin-events", from, adminEvents)
	if err != nil {
		return time.Time{}, err
	}
	users, err := read[userEvent](ctx, c, "/events", from, url.Values{"type": userEvents})
	if err != nil {
		return time.Time{}, err
	}
	all = append(all, users...)
	slices.SortStableFunc(all, func(a, b change) int { return a.at.Compare(b.at) })
	for _, one := range all {
		if err := f(one.id, one.at, one.c); err != nil {
			return time.Time{}, err
		}
	}
	return now, nil
}

// event is one of Keycloak's.
type event interface {
	key() (id string, at int64) // Unix milliseconds
	change() (events.UserCutOff, bool)
}

// read reads a list of events. Keycloak gives it newest first, and those of one
// millisecond in any order, which may be another for each page: so the next page
// is asked for by the time of the last one's oldest event, that millisecond once
// more. What comes meanwhile is for the next call.
func read[E event](ctx context.Context, c *Client, path string, from time.Time, of url.Values) (all []change, err error) {
	query := maps.Clone(of)
	query.Set("dateFrom", strconv.FormatInt(from.UnixMilli(), 10))
	known, to, size := map[string]bool{}, int64(-1), pageSize
	for len(known) < mostRead {
		query.Set("max", strconv.Itoa(size))
		var page []E
		if err := c.get(ctx, path, query, &page); err != nil {
			return nil, err
		}
		for _, e := range page {
			id, at := e.key()
			if known[id] {
				continue
			}
			known[id] = true
			if one, ok := e.change(); ok {
				all = append(all, change{id, time.UnixMilli(at).UTC(), one})
			}
		}
		if len(page) < size {
			return all, nil
		}
		_, oldest := page[len(page)-1].key()
		if size = pageSize; oldest == to { // all of this page in one millisecond
			size = 2 * len(page)
		}
		to = oldest
		query.Set("dateTo", strconv.FormatInt(to, 10))
	}
	return nil, fmt.Errorf("read %s of Keycloak: more than %d events since %s", path, mostRead, from.UTC().Format(time.RFC3339))
}

// check asks, with every new token, whether the realm keeps what is needed.
func (c *Client) check(ctx context.Context) error {
	if err := c.login(ctx); err != nil || c.checked {
		return err
	}
	var realm struct {
		UserEvents  bool     `json:"eventsEnabled"`
		Types       []string `json:"enabledEventTypes"`
		Expire      int64    `json:"eventsExpiration"` // seconds; 0 never
		AdminEvents bool     `json:"adminEventsEnabled"`
		Details     bool     `json:"adminEventsDetailsEnabled"`
	}
	if err := c.get(ctx, "/events/config", nil, &realm); err != nil {
		return err
	}
	var missing []error
	if !realm.AdminEvents || !realm.Details {
		missing = append(missing, errors.New("admin events with their representation"))
	}
	for _, t := range userEvents {
		if !realm.UserEvents || len(realm.Types) > 0 && !slices.Contains(realm.Types, t) {
			missing = append(missing, errors.New("user events of type "+t))
		}
	}
	if kept := time.Duration(realm.Expire) * time.Second; kept > 0 && kept < c.cfg.TokenMaxAge {
		missing = append(missing, fmt.Errorf("user events for longer than %s (a token may live for %s)", kept, c.cfg.TokenMaxAge))
	}
	if len(missing) > 0 {
		return events.Invalid("events_not_kept", "", "the realm does not keep %v: who is cut off cannot be told", errors.Join(missing...))
	}
	c.checked = true
	return nil
}

// adminEvent is what an administrator did.
type adminEvent struct {
	ID             string `json:"id"`
	Time           int64  `json:"time"` // Unix milliseconds
	Operation      string `json:"operationType"`
	Resource       string `json:"resourceType"`
	Path           string `json:"resourcePath"`
	Representation string `json:"representation"`
}

func (e adminEvent) key() (string, int64) { return e.ID, e.Time }

func (e adminEvent) change() (c events.UserCutOff, ok bool) {
	at := time.UnixMilli(e.Time).UTC()
	c.NotBefore = at.Add(settle)
	path := strings.Split(e.Path, "/")
	user := len(path) >= 2 && path[0] == "users"
	if user {
		c.UserID = events.UserID(path[1])
	}
	switch {
	case e.Resource == "USER" && e.Operation == "UPDATE" && user && len(path) == 2 && disabled(e.Representation):
		c.Reason = events.CutOffDisabled
	case e.Resource == "USER" && e.Operation == "DELETE" && user && len(path) == 2:
		c.Reason = events.CutOffDeleted
	case e.Resource == "USER" && e.Operation == "ACTION" && user && len(path) == 3 && path[2] == "logout":
		c.Reason = events.CutOffLoggedOut
	case e.takesRoles():
		c.Reason = events.CutOffRolesChanged
		c.Everyone, c.WithRoles = !user, !user // a group's, or everybody's of the role: whoever they are
	case e.Resource == "USER_SESSION" && e.Operation == "DELETE" && len(path) == 2 && path[0] == "sessions":
		c.SessionID, c.NotBefore, c.Reason = path[1], at, events.CutOffSessionEnded
	case e.Resource == "REALM" && e.Operation == "ACTION" && e.Path == "logout-all":
		c.Everyone, c.Reason = true, events.CutOffLoggedOut
	case e.Resource == "REALM" && e.Operation == "UPDATE":
		// It comes with every later change of the realm again, and may be of the future.
		if revoked := notBefore(e.Representation); revoked.Before(c.NotBefore) {
			c.NotBefore = revoked
		}
		if at.Sub(c.NotBefore) < maxAge {
			c.Everyone, c.Reason = true, events.CutOffLoggedOut
		}
	}
	return c, c.Reason != ""
}

// takesRoles tells whether the event may have taken a role from somebody: from a
// user, from a group or its members, or the role itself is gone or changed.
func (e adminEvent) takesRoles() bool {
	switch e.Resource {
	case "REALM_ROLE_MAPPING", "CLIENT_ROLE_MAPPING", "GROUP_MEMBERSHIP", "REALM_SCOPE_MAPPING":
		return e.Operation == "DELETE"
	case "GROUP", "REALM_ROLE", "CLIENT_ROLE":
		return e.Operation == "DELETE" || e.Operation == "UPDATE"
	}
	return false
}

// userEvent is what a user did, or what happened to one.
type userEvent struct {
	ID      string            `json:"id"`
	Time    int64             `json:"time"`
	Type    string            `json:"type"`
	User    string            `json:"userId"`
	Session string            `json:"sessionId"`
	Details map[string]string `json:"details"`
}

func (e userEvent) key() (string, int64) { return e.ID, e.Time }

func (e userEvent) change() (events.UserCutOff, bool) {
	at := time.UnixMilli(e.Time).UTC()
	c := events.UserCutOff{UserID: events.UserID(e.User), NotBefore: at.Add(settle)}
	switch {
	case e.Type == "LOGOUT" && e.Session != "",
		e.Type == "REVOKE_GRANT" && e.Session != "" && e.Details["refresh_token_type"] != "": // of an access token: the session goes on
		c.SessionID, c.NotBefore, c.Reason = e.Session, at, events.CutOffLoggedOut
	case e.Type == "DELETE_ACCOUNT" && e.User != "":
		c.Reason = events.CutOffDeleted
	case e.Type == "USER_DISABLED_BY_PERMANENT_LOCKOUT" && e.User != "":
		c.Reason = events.CutOffDisabled
	}
	return c, c.Reason != ""
}
