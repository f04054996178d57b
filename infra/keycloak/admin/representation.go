package admin

import (
	"encoding/json"
	"time"
)

// disabled tells whether a user's representation, as far as it was sent, says
// that the user is disabled. Who edits a user that is disabled already says so
// again, which harms nobody.
func disabled(representation string) bool {
	var user struct {
		Enabled *bool `json:"enabled"`
	}
	return json.Unmarshal([]byte(representation), &user) == nil && user.Enabled != nil && !*user.Enabled
}

// notBefore is the time before which a realm's representation, as far as it was
// sent, revokes all tokens; zero (1970) if none.
func notBefore(representation string) time.Time {
	var realm struct {
		NotBefore int64 `json:"notBefore"` // Unix seconds
	}
	if json.Unmarshal([]byte(representation), &realm) != nil {
		realm.NotBefore = 0
	}
	return time.Unix(realm.NotBefore, 0).UTC()
}
