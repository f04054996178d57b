package frontdoor

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/chat-platform/chat/events"
)

var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// readBody appends the whole body to buf. It reads no more than the limit, and
// waits for a slow client no longer than timeout.
func readBody(w http.ResponseWriter, r *http.Request, buf []byte, limit int64, timeout time.Duration) ([]byte, error) {
	if r.ContentLength > limit {
		return buf, tooLarge(w, limit)
	}
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return buf, nil
	}
	// A recorder in a test has no deadlines; nor does it have slow clients.
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(timeout))
	if n := int(r.ContentLength) + 1; r.ContentLength > 0 && cap(buf)-len(buf) < n {
		grown := make([]byte, len(buf), len(buf)+n)
		copy(grown, buf)
		buf = grown
	}
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > limit {
			return buf, tooLarge(w, limit)
		}
		switch {
		case err == io.EOF:
			_ = deadline.SetReadDeadline(time.Time{})
			return buf, nil
		case err != nil:
			w.Header()["Connection"] = closeConnection
			return buf, unread(err)
		}
	}
}

func tooLarge(w http.ResponseWriter, limit int64) error {
	w.Header()["Connection"] = closeConnection
	return events.NewFault(events.ErrTooLarge, "body_too_large", "", "the body is larger than %d bytes", limit)
}

// unread says why a body did not come. Its context tells nothing: net/http
// cancels it whenever reading fails.
func unread(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &statusFault{http.StatusRequestTimeout, events.NewFault(events.ErrUnavailable, "body_timeout", "", "the body did not arrive in time")}
	}
	return events.Invalid("body_incomplete", "", "the body ended before its announced length, or is not well-formed")
}
