package elasticsearch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/chat-platform/chat/events"
)

// refusal is a server's error, of a request or of an item of one.
type refusal struct {
	status       int
	kind, reason string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("elasticsearch answers %d %s: %s", r.status, r.kind, r.reason)
}

// Unwrap gives the kind of error: what passes, what never will.
func (r *refusal) Unwrap() error {
	switch {
	case r.status == http.StatusTooManyRequests, r.status == http.StatusRequestTimeout, r.status >= 500:
		return events.ErrUnavailable
	case r.kind == "cluster_block_exception": // a full disk, say
		return events.ErrUnavailable
	case r.status == http.StatusNotFound: // an index that was replaced just now, or that somebody has dropped
		return events.ErrUnavailable
	case r.status == http.StatusUnauthorized, r.status == http.StatusForbidden: // our credentials, not the caller's
		return events.ErrUnavailable
	case r.status == http.StatusRequestEntityTooLarge:
		return events.ErrTooLarge
	case r.status == http.StatusConflict:
		return events.ErrConflict
	}
	return events.ErrInvalid
}

// refused tells whether the server gave this status, or this kind of error.
func refused(err error, status int, kind string) bool {
	var r *refusal
	return errors.As(err, &r) && r.status == status && (kind == "" || r.kind == kind)
}

type fault struct {
	Type   string `json:"type"`
	Reason string `json:"reason"`
}

func readRefusal(res *http.Response) error {
	r := &refusal{status: res.StatusCode, kind: "error", reason: http.StatusText(res.StatusCode)}
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return r
	}
	var answer struct {
		Error json.RawMessage `json:"error"`
	}
	var f fault
	if json.Unmarshal(body, &answer) != nil || len(answer.Error) == 0 {
		return r
	}
	if json.Unmarshal(answer.Error, &f) == nil {
		r.kind, r.reason = f.Type, f.Reason
	} else {
		_ = json.Unmarshal(answer.Error, &r.reason) // some errors are a sentence
	}
	return r
}
