package admin

import "encoding/json"

// disabled tells whether a user's representation, as far as it was sent, says
// that the user is disabled. Who edits a user that is disabled already says so
// again, which harms nobody.
func disabled(representation string) bool {
	var user struct {
		Enabled *bool `json:"enabled"`
	}
	return json.Unmarshal([]byte(representation), &user) == nil && user.Enabled != nil && !*user.Enabled
}
