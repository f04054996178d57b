package frontdoor

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/chat-platform/chat/events"
)

// decoder is a JSON decoder whose source can be set anew.
type decoder struct {
	src  bytes.Reader
	json *json.Decoder
}

var decoders = sync.Pool{New: func() any {
	d := &decoder{}
	d.json = json.NewDecoder(&d.src)
	d.json.DisallowUnknownFields()
	return d
}}

// decodeObject reads exactly one JSON object into v, which keeps no part of b.
// Members that v does not know are refused. Nothing but spaces leaves v as it is.
func decodeObject(b []byte, v any) error {
	b = bytes.Trim(b, " \t\r\n")
	if len(b) == 0 {
		return nil
	}
	if b[0] != '{' {
		return events.Invalid("invalid_json", "", "the body is not a JSON object")
	}
	if !utf8.Valid(b) {
		return events.Invalid("invalid_json", "", "the body is not valid UTF-8")
	}
	d := decoders.Get().(*decoder)
	d.src.Reset(b)
	begin := d.json.InputOffset()
	if err := d.json.Decode(v); err != nil {
		return jsonFault(err) // the decoder is lost: its errors stick
	}
	if d.json.InputOffset()-begin != int64(len(b)) {
		return events.Invalid("invalid_json", "", "more follows the body's JSON object, which ends at byte %d", d.json.InputOffset()-begin)
	}
	if len(b) <= maxPooled {
		decoders.Put(d)
	}
	return nil
}

// jsonFault says what is wrong in words that a client can use, whatever
// encoding/json says.
func jsonFault(err error) error {
	var (
		fault    *events.Fault
		syntax   *json.SyntaxError
		mistyped *json.UnmarshalTypeError
		badTime  *time.ParseError
	)
	switch {
	case errors.As(err, &fault):
		return fault
	case errors.As(err, &syntax):
		return events.Invalid("invalid_json", "", "the body is not JSON: %s", strings.TrimPrefix(syntax.Error(), "json: "))
	case errors.As(err, &mistyped):
		if n, number := strings.CutPrefix(mistyped.Value, "number "); number {
			return events.Invalid("invalid_type", mistyped.Field, "%s cannot be %s", mistyped.Field, n)
		}
		return events.Invalid("invalid_type", mistyped.Field, "%s cannot be of the JSON type %s", mistyped.Field, mistyped.Value)
	case errors.As(err, &badTime):
		return events.Invalid("invalid_time", "", "%s is not a time in RFC 3339", badTime.Value)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return events.Invalid("invalid_json", "", "the body's JSON ends too soon")
	}
	// encoding/json has no type for this one.
	if q, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		name, uerr := strconv.Unquote(q)
		if uerr != nil {
			name = q
		}
		return events.Invalid("unknown_field", name, "there is no field %q", name)
	}
	return events.Invalid("invalid_json", "", "the body cannot be read: %s", strings.TrimPrefix(err.Error(), "json: "))
}
