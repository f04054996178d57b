package frontdoor

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"github.com/chat-platform/chat/events"
)

func (f *Function) serveREST(w http.ResponseWriter, r *http.Request) {
	f.serve(w, r, modeREST, (*exchange).rest)
}

// rest answers one request of the REST route.
func (x *exchange) rest() error {
	caller, err := x.authenticate(x.r.Header)
	if err != nil {
		return err
	}
	p := bodies.Get().(*[]byte)
	body, err := x.readBody((*p)[:0])
	defer func() {
		if cap(body) <= maxPooled {
			*p = body[:0]
			bodies.Put(p)
		}
	}()
	if err != nil {
		return err
	}
	if len(body) > 0 {
		if x.r.Method == http.MethodGet || x.r.Method == http.MethodHead {
			return events.Invalid("unexpected_body", "", "a %s request takes no body", x.r.Method)
		}
		if !isJSON(x.r.Header.Get("Content-Type")) {
			return events.NewFault(events.ErrUnsupported, "unsupported_media_type", "", "the body's Content-Type is %q, expected %q", clip(x.r.Header.Get("Content-Type")), events.ContentTypeJSON)
		}
	}
	answer, err := x.invoke(caller, &restInput{params: x.f.params, r: x.r, body: body})
	if err != nil {
		return err
	}
	status := x.f.spec.Status
	if s, ok := answer.(interface{ StatusCode() int }); ok {
		status = s.StatusCode()
	}
	if status == http.StatusNoContent {
		return x.answerEmpty(status)
	}
	e := getEncoder()
	defer e.put()
	if err := e.encode(answer); err != nil {
		return fmt.Errorf("encode the answer of %s: %w", x.f.spec.Name, err)
	}
	return x.answer(e, status, contentJSON)
}

// restInput fills a request from body, path, query and headers.
type restInput struct {
	params *params
	r      *http.Request
	body   []byte
}

func (in *restInput) fill(req any) error {
	err := decodeObject(in.body, req)
	faults := in.params.fill(in.r, reflect.ValueOf(req).Elem())
	if err == nil && len(faults) == 0 {
		return nil
	}
	var f *events.Fault
	if errors.As(err, &f) {
		faults = append(events.Faults{whole(f)}, faults...)
	}
	return faults
}

// isJSON tells whether a Content-Type is application/json in UTF-8.
func isJSON(contentType string) bool {
	if contentType == events.ContentTypeJSON {
		return true
	}
	t, ok := mediaType(contentType)
	return ok && t == events.ContentTypeJSON
}

// mediaType is the type without its parameters; ok is false where it is
// malformed or names a charset that JSON has not.
func mediaType(contentType string) (t string, ok bool) {
	t, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", false
	}
	charset, given := parameters["charset"]
	return t, !given || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "us-ascii")
}
