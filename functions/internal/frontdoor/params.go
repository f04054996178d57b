package frontdoor

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/chat-platform/chat/events"
)

// params is what the tags of a request's type say, worked out once.
type params struct {
	path, header []param
	query        map[string]param
}

// param is a field of the request that a part of the HTTP request fills.
type param struct {
	name  string // in the path, the query or the header
	field string // its name in JSON, for faults
	index []int
	bits  int
	kind  reflect.Kind
	ptr   bool
}

// mustParams reads the tags of Req and panics where they cannot work.
func mustParams[Req any](spec Spec) *params {
	p, err := newParams(reflect.TypeFor[Req](), spec)
	if err != nil {
		panic(err)
	}
	return p
}

func newParams(t reflect.Type, spec Spec) (*params, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("function %s: request type %v is not a struct", spec.Name, t)
	}
	p := &params{query: map[string]param{}}
	for _, f := range reflect.VisibleFields(t) {
		for _, tag := range []string{"path", "query", "header"} {
			name, ok := f.Tag.Lookup(tag)
			if !ok {
				continue
			}
			q, err := newParam(f, name)
			if err != nil {
				return nil, fmt.Errorf("function %s: field %s of %v: %w", spec.Name, f.Name, t, err)
			}
			switch tag {
			case "path":
				if spec.Path != "" && !strings.Contains(spec.Path, "{"+name+"}") && !strings.Contains(spec.Path, "{"+name+"...}") {
					return nil, fmt.Errorf("function %s: path %q has no {%s}", spec.Name, spec.Path, name)
				}
				p.path = append(p.path, q)
			case "query":
				p.query[name] = q
			case "header":
				q.name = textproto.CanonicalMIMEHeaderKey(name)
				p.header = append(p.header, q)
			}
		}
	}
	return p, nil
}

func newParam(f reflect.StructField, name string) (param, error) {
	t, ptr := f.Type, false
	if t.Kind() == reflect.Pointer {
		t, ptr = t.Elem(), true
	}
	p := param{name: name, field: name, index: f.Index, kind: t.Kind(), ptr: ptr}
	if j, _, _ := strings.Cut(f.Tag.Get("json"), ","); j != "" && j != "-" {
		p.field = j
	}
	switch {
	case !f.IsExported():
		return p, errors.New("a tag on an unexported field")
	case t.Kind() == reflect.String, t.Kind() == reflect.Bool:
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		p.bits = t.Bits()
	default:
		return p, fmt.Errorf("a tag on a %v, expected a string, integer or bool, or a pointer to one", f.Type)
	}
	return p, nil
}

// fill sets the fields from the request and returns all faults.
func (p *params) fill(r *http.Request, v reflect.Value) events.Faults {
	var faults events.Faults
	for _, q := range p.path {
		faults = q.set(faults, v, "path", r.PathValue(q.name))
	}
	for _, q := range p.header {
		if h := r.Header[q.name]; len(h) > 1 {
			faults = append(faults, whole(events.Invalid("repeated_header", q.field, "the header %s is given %d times", q.name, len(h))))
		} else if len(h) == 1 {
			faults = q.set(faults, v, "header", h[0])
		}
	}
	if r.URL.RawQuery == "" {
		return faults
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return append(faults, whole(events.Invalid("invalid_query", "", "the query string is malformed: %v", err)))
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		q, known := p.query[name]
		switch {
		case !known:
			faults = append(faults, whole(events.Invalid("unknown_parameter", name, "there is no query parameter %q", name)))
		case len(values[name]) > 1:
			faults = append(faults, whole(events.Invalid("repeated_parameter", name, "the query parameter %q is given %d times", name, len(values[name]))))
		default:
			faults = q.set(faults, v, "query", values[name][0])
		}
	}
	return faults
}

// set parses s into the field. A body that said something else is a fault: it is
// not for us to choose.
func (p param) set(faults events.Faults, v reflect.Value, where, s string) events.Faults {
	f := v.FieldByIndex(p.index)
	if p.ptr {
		if f.IsNil() {
			f.Set(reflect.New(f.Type().Elem()))
		}
		f = f.Elem()
	}
	before := f.Interface()
	fresh := f.IsZero()
	var err error
	expected := ""
	switch {
	case p.kind == reflect.String:
		f.SetString(s)
	case p.kind == reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(s)
		expected = "true or false"
		f.SetBool(b)
	case p.kind <= reflect.Int64:
		var n int64
		n, err = strconv.ParseInt(s, 10, p.bits)
		expected = "an integer"
		f.SetInt(n)
	default:
		var n uint64
		n, err = strconv.ParseUint(s, 10, p.bits)
		expected = "an integer, 0 or more"
		f.SetUint(n)
	}
	if err != nil {
		return append(faults, whole(events.Invalid("invalid_"+where, p.name, "%s is %q, expected %s", p.name, clip(s), expected)))
	}
	if !fresh && f.Interface() != before {
		return append(faults, whole(events.Invalid("ambiguous_field", p.field, "%s in the body and in the %s differ", p.field, where)))
	}
	return faults
}

func whole(f *events.Fault) events.ItemFault { return events.ItemFault{Index: -1, Fault: f} }

// clip shortens what is quoted back to a client.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
