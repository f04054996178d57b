package frontdoor

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/chat-platform/chat/events"
)

// Problem is the body of every answer that is not a success: RFC 9457 with a
// stable code. Clients match Code, never Detail.
type Problem struct {
	Type      string         `json:"type"` // always "about:blank": Code says more
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Detail    string         `json:"detail"`
	Code      string         `json:"code"`
	RequestID string         `json:"request_id"`
	Errors    []ProblemError `json:"errors,omitempty"`
}

// ProblemError is one fault of the request.
type ProblemError struct {
	Field  string `json:"field,omitempty"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Index  *int   `json:"index,omitempty"` // of the item in a batch
}

// maxErrors bounds errors[]; a longer list ends with an entry that says so.
const maxErrors = 100

// ProblemOf describes an error to the client. Only faults speak for themselves;
// of any other error no word gets out.
func ProblemOf(requestID string, err error) Problem {
	r, status := rowOf(err), StatusOf(err)
	p := Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: r.detail, Code: r.code, RequestID: requestID}
	if status == http.StatusInternalServerError {
		return p
	}
	var fs events.Faults
	if errors.As(err, &fs) && len(fs) > 0 {
		p.Code, p.Detail = fs[0].Code, fs.Error()
		for i, f := range fs {
			if i == maxErrors {
				p.Errors = append(p.Errors, ProblemError{Code: "more_faults", Detail: strconv.Itoa(len(fs)-i) + " more faults are not listed"})
				break
			}
			e := ProblemError{Field: f.Field, Code: f.Code, Detail: f.Detail}
			if f.Index >= 0 {
				e.Index = &fs[i].Index
			}
			p.Errors = append(p.Errors, e)
		}
		return p
	}
	var f *events.Fault
	if errors.As(err, &f) {
		p.Code, p.Detail = f.Code, f.Detail
		if f.Field != "" {
			p.Errors = []ProblemError{{Field: f.Field, Code: f.Code, Detail: f.Detail}}
		}
	}
	return p
}

// WriteProblem answers a request with the problem that an error makes. What is
// mounted beside functions uses it too, so that all problems look alike.
func WriteProblem(w http.ResponseWriter, requestID string, err error) {
	writeProblem(w, ProblemOf(requestID, err), err)
}

func writeProblem(w http.ResponseWriter, p Problem, err error) {
	h := w.Header()
	h["X-Request-Id"] = []string{p.RequestID}
	switch p.Status {
	case http.StatusUnauthorized:
		challenge := `Bearer realm="chat"`
		if p.Code != codeTokenMissing {
			challenge += `, error="invalid_token"`
		}
		h["Www-Authenticate"] = []string{challenge}
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		h["Retry-After"] = []string{strconv.FormatInt(seconds(retryAfter(err)), 10)}
	}
	e := getEncoder()
	defer e.put()
	if err := e.encode(p); err != nil { // cannot be: a Problem is plain data
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	e.send(w, p.Status, contentProblem)
}
