package admin

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chat-platform/chat/events"
)

const (
	pageSize = 500
	mostRead = 1_000_000 // events of one call
)

// change is a cut-off and the id of Keycloak's event that tells of it.
type change struct {
	id string
	c  events.UserCutOff
}

// Changes calls f with what has cut tokens off since a time of Keycloak's, oldest
// first, with the id of the event that tells of it; Until is left to the caller.
// It calls f once all is read, stops with f's error, and gives Keycloak's time as
// of just before it asked.
//
// An event may become visible a little after its time: the caller asks again from
// somewhat earlier and tells by the id what it knows.
func (c *Client) Changes(ctx context.Context, from time.Time, f func(id string, c events.UserCutOff) error) (time.Time, error) {
	if err := c.check(ctx); err != nil {
		return time.Time{}, err
	}
	now := c.now()
	all, err := read(ctx, c, "/admin-events", from, url.Values{
		"operationTypes": {"UPDATE", "DELETE", "ACTION"}, "resourceTypes": {"USER", "USER_SESSION", "REALM", "REALM_ROLE_MAPPING"},
	}, adminEvent.change)
	if err != nil {
		return time.Time{}, err
	}
	users, err := read(ctx, c, "/events", from, url.Values{
		"type": {"LOGOUT", "REVOKE_GRANT", "DELETE_ACCOUNT", "USER_DISABLED_BY_PERMANENT_LOCKOUT"},
	}, userEvent.change)
	if err != nil {
		return time.Time{}, err
	}
	all = append(all, users...)
	slices.SortStableFunc(all, func(a, b change) int { return a.c.NotBefore.Compare(b.c.NotBefore) })
	for _, one := range all {
		if err := f(one.id, one.c); err != nil {
			return time.Time{}, err
		}
	}
	return now, nil
}

// read reads a list of events, newest first: those that come meanwhile push the
// others to later pages, so that some are read twice and none is missed.
func read[E any](ctx context.Context, c *Client, path string, from time.Time, query url.Values, of func(E) (change, bool)) (all []change, err error) {
	query.Set("dateFrom", strconv.FormatInt(from.UnixMilli(), 10))
	query.Set("max", strconv.Itoa(pageSize))
	for first := 0; first < mostRead; first += pageSize {
		query.Set("first", strconv.Itoa(first))
		var page []E
		if err := c.get(ctx, path, query, &page); err != nil {
			return nil, err
		}
		for _, e := range page {
			if one, ok := of(e); ok {
				all = append(all, one)
			}
		}
		if len(page) < pageSize {
			return all, nil
		}
	}
	return nil, fmt.Errorf("read %s of Keycloak: more than %d events since %s", path, mostRead, from.UTC().Format(time.RFC3339))
}

// check asks, once, whether the realm keeps what is needed.
func (c *Client) check(ctx context.Context) error {
	if err := c.login(ctx); err != nil || c.checked {
		return err
	}
	var realm struct {
		UserEvents  bool     `json:"eventsEnabled"`
		Types       []string `json:"enabledEventTypes"`
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
	if !realm.UserEvents || len(realm.Types) > 0 && !slices.Contains(realm.Types, "LOGOUT") {
		missing = append(missing, errors.New("user events of type LOGOUT"))
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

func (e adminEvent) change() (change, bool) {
	c := events.UserCutOff{NotBefore: time.UnixMilli(e.Time).UTC()}
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
	case e.Resource == "REALM_ROLE_MAPPING" && e.Operation == "DELETE" && user:
		c.Reason = events.CutOffRolesChanged
	case e.Resource == "USER_SESSION" && e.Operation == "DELETE" && len(path) == 2 && path[0] == "sessions":
		c.SessionID, c.Reason = path[1], events.CutOffSessionEnded
	case e.Resource == "REALM" && e.Operation == "ACTION" && e.Path == "logout-all":
		c.Everyone, c.Reason = true, events.CutOffLoggedOut
	}
	return change{e.ID, c}, c.Reason != ""
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

func (e userEvent) change() (change, bool) {
	c := events.UserCutOff{UserID: events.UserID(e.User), NotBefore: time.UnixMilli(e.Time).UTC()}
	switch {
	case e.Type == "LOGOUT" && e.Session != "",
		e.Type == "REVOKE_GRANT" && e.Session != "" && e.Details["refresh_token_type"] != "": // of an access token: the session goes on
		c.SessionID, c.Reason = e.Session, events.CutOffLoggedOut
	case e.Type == "DELETE_ACCOUNT" && e.User != "":
		c.Reason = events.CutOffDeleted
	case e.Type == "USER_DISABLED_BY_PERMANENT_LOCKOUT" && e.User != "":
		c.Reason = events.CutOffDisabled
	}
	return change{e.ID, c}, c.Reason != ""
}
