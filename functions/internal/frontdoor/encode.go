package frontdoor

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"

	"github.com/chat-platform/chat/events"
)

// Values of headers, shared by all answers: nobody changes them in place.
var (
	contentJSON       = []string{events.ContentTypeJSON}
	contentStructured = []string{events.ContentTypeStructured}
	contentBatch      = []string{events.ContentTypeBatch}
	contentProblem    = []string{"application/problem+json"}
	noStore           = []string{"no-store"}
	noSniff           = []string{"nosniff"}
	closeConnection   = []string{"close"}
	zero              = []string{"0"}
)

// maxPooled is the largest buffer that is kept for reuse.
const maxPooled = 64 << 10

// encoder is a buffer with a JSON encoder on it.
type encoder struct {
	buf  bytes.Buffer
	json *json.Encoder
}

var encoders = sync.Pool{New: func() any {
	e := &encoder{}
	e.json = json.NewEncoder(&e.buf)
	e.json.SetEscapeHTML(false)
	return e
}}

func getEncoder() *encoder { return encoders.Get().(*encoder) }

func (e *encoder) put() {
	if e.buf.Cap() <= maxPooled {
		e.buf.Reset()
		encoders.Put(e)
	}
}

// encode appends v and a line feed.
func (e *encoder) encode(v any) error { return e.json.Encode(v) }

// send answers with what the buffer holds. A client that is gone is none of our
// business: the error of its socket is dropped.
func (e *encoder) send(w http.ResponseWriter, status int, contentType []string) {
	h := w.Header()
	h["Content-Type"] = contentType
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	h["Content-Length"] = []string{strconv.Itoa(e.buf.Len())}
	w.WriteHeader(status)
	_, _ = w.Write(e.buf.Bytes())
}
