package frontdoor

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Defaults of a [Spec].
const (
	DefaultMaxBody       = 1 << 20 // commands and queries, bytes
	DefaultMaxWriterBody = 8 << 20 // writers take batches, bytes
	DefaultMaxInFlight   = 1024
	DefaultTimeout       = 10 * time.Second
	MaxCommandBatch      = 1000     // commands in one CloudEvents batch
	maxHeader            = 32 << 10 // bytes of names and values
)

// Spec says how a function is reached and what it allows. Zero values take the
// defaults above.
type Spec struct {
	Name    string // like "sendmessage": route, metrics label, source of its answers
	Summary string // one sentence for people

	Method string // of the REST route, like "POST"; empty = no REST route
	Path   string // of the REST route, a [http.ServeMux] pattern like "/v1/channels/{channel}"
	Status int    // of a REST answer that has no StatusCode() int; default 200

	Type  string   // of the CloudEvent that invokes a command or query
	Types []string // that a writer accepts; none = Type, or any if that is empty too

	Limit string // the rate limit that counts its calls; "change/<name>" by default, "read/<name>" for a GET

	MaxBody     int64         // bytes; more is a 413
	MaxInFlight int           // requests at a time; more is a 503 with Retry-After
	Timeout     time.Duration // of one request, a batch included; later is a 503
}

func (s Spec) withDefaults(maxBody int64) (Spec, error) {
	if s.Status == 0 {
		s.Status = http.StatusOK
	}
	if s.MaxBody == 0 {
		s.MaxBody = maxBody
	}
	if s.MaxInFlight == 0 {
		s.MaxInFlight = DefaultMaxInFlight
	}
	if s.Timeout == 0 {
		s.Timeout = DefaultTimeout
	}
	if s.Limit == "" {
		s.Limit = "change/" + s.Name
		if s.Method == http.MethodGet {
			s.Limit = "read/" + s.Name
		}
	}
	switch {
	case s.Name == "" || strings.ContainsAny(s.Name, " /{}"):
		return s, fmt.Errorf("spec of function %q: name is empty or holds one of \" /{}\"", s.Name)
	case (s.Method == "") != (s.Path == ""):
		return s, fmt.Errorf("spec of function %q: method %q and path %q go together", s.Name, s.Method, s.Path)
	case s.Path != "" && s.Path[0] != '/':
		return s, fmt.Errorf("spec of function %q: path %q does not begin with /", s.Name, s.Path)
	case strings.ContainsAny(s.Name+s.Limit, " :\"\\"):
		return s, fmt.Errorf("spec of function %q: name or limit %q holds a space, a colon, a quote or a backslash", s.Name, s.Limit)
	case s.MaxBody < 0 || s.MaxInFlight < 0 || s.Timeout < 0:
		return s, fmt.Errorf("spec of function %q: a limit is negative", s.Name)
	}
	return s, nil
}
