package events

import (
	"encoding/json"
	"time"
	"unicode/utf8"
)

// MaxSessionIDLength bounds an issuer's name of a session, in bytes.
const MaxSessionIDLength = 128

// CutOffReason says why tokens are refused before their end. Readers take one
// that they do not know for the end of the session, so another reason is no new
// version.
type CutOffReason string

// Reasons. After all but the last one a new login is needed.
const (
	CutOffDisabled     CutOffReason = "disabled"
	CutOffDeleted      CutOffReason = "deleted"
	CutOffLoggedOut    CutOffReason = "logged_out"    // by the user, or by somebody for the user
	CutOffSessionEnded CutOffReason = "session_ended" // an administrator ended one session
	CutOffRolesChanged CutOffReason = "roles_changed" // the session goes on; a new token tells the roles that are left
)

// UserCutOff is the payload of [TypeUserCutOff]: tokens that somebody holds are
// refused from now on. Whose they are is said by one of three: a user, a session
// of the issuer (then the user is for people to read), or everyone: all tokens, or
// only those that carry a role.
type UserCutOff struct {
	UserID    UserID       `json:"user_id,omitempty"`
	SessionID string       `json:"session_id,omitempty"` // all tokens of that session, whenever they were issued
	Everyone  bool         `json:"everyone,omitempty"`
	WithRoles bool         `json:"with_roles,omitempty"` // of everyone, only tokens that carry a role; who does not know it refuses all, which harms nobody: a new token is to be had
	Reason    CutOffReason `json:"reason"`
	NotBefore time.Time    `json:"not_before"` // by the issuer's clock: tokens issued before are refused
	Until     time.Time    `json:"until"`      // by then every token that this concerns has expired
}

// Validate returns the first fault, or nil.
func (c UserCutOff) Validate() error {
	if c.UserID != "" {
		if _, err := ParseUserID(string(c.UserID)); err != nil {
			return err
		}
	}
	if n := len(c.SessionID); n > MaxSessionIDLength || !utf8.ValidString(c.SessionID) {
		return Invalid("invalid_session_id", "session_id", "session id has %d bytes, at most %d of valid UTF-8 are allowed", n, MaxSessionIDLength)
	}
	named := c.UserID != "" || c.SessionID != ""
	if named == c.Everyone {
		return Invalid("invalid_cut_off", "user_id", "a cut-off is of a user, of a session, or of everyone")
	}
	if c.WithRoles && !c.Everyone {
		return Invalid("invalid_cut_off", "with_roles", "only a cut-off of everyone may be of tokens with roles")
	}
	if c.Reason == "" || len(c.Reason) > 64 {
		return Invalid("invalid_reason", "reason", "reason has %d bytes, 1 to 64 are allowed", len(c.Reason))
	}
	if c.NotBefore.IsZero() || c.Until.IsZero() {
		return Invalid("invalid_cut_off", "not_before", "a cut-off needs the times not_before and until")
	}
	return nil
}

// Concerns tells whether a caller's token is one of those refused. A token tells
// when it was issued to the second: one issued in the second in which the cut-off
// falls counts as issued before it. (A session that has ended has no new tokens.)
func (c UserCutOff) Concerns(caller Caller) bool {
	switch {
	case c.SessionID != "":
		return caller.Session == c.SessionID
	case c.WithRoles && len(caller.Roles) == 0:
		return false
	case c.Everyone, caller.User == c.UserID:
		return caller.Issued.Before(c.NotBefore)
	}
	return false
}

// CutOffSubject is where a cut-off goes.
func CutOffSubject(c UserCutOff) string {
	switch {
	case c.SessionID != "":
		return "cutoffs.session." + Token(c.SessionID)
	case c.Everyone:
		return "cutoffs.everyone"
	}
	return "cutoffs.user." + Token(string(c.UserID))
}

// CutOffOf reads a cut-off.
func CutOffOf(e Event) (UserCutOff, error) {
	if e.Type != TypeUserCutOff {
		return UserCutOff{}, Invalid("unexpected_type", "type", "event %s has type %q, expected %q", e.ID, e.Type, TypeUserCutOff)
	}
	return Decode[UserCutOff](e)
}

// Event makes the event that tells of the cut-off, which is valid if the error
// is nil. What makes it unique goes into its id.
func (c UserCutOff) Event(source string, unique ...string) (Event, error) {
	if err := c.Validate(); err != nil {
		return Event{}, err
	}
	data, err := json.Marshal(c)
	if err != nil {
		return Event{}, Invalid("invalid_payload", "data", "cut-off: %v", err)
	}
	return Event{
		ID: EventID(append([]string{TypeUserCutOff, source}, unique...)...), Source: source, Type: TypeUserCutOff,
		Subject: CutOffSubject(c), Time: c.NotBefore.UTC(), Data: data,
	}, nil
}
