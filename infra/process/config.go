package process

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// Config fills the struct that v points to from the environment, by its tags
// `env:"NAME,required" envDefault:"…"`. Fields that are set already keep their
// value where the environment has none, so that a main may choose its own
// defaults. A struct with a method Validate() error is then asked. The error
// names every variable that is wrong, its value, and what was expected.
func (p *Process) Config(v any) error {
	opts := env.Options{Environment: p.environ, SetDefaultsForZeroValuesOnly: true}
	err := env.ParseWithOptions(v, opts)
	if err == nil { // env leaves alone what is set already, whatever the environment says
		err = env.ParseWithOptions(v, env.Options{Environment: p.environ, DefaultValueTagName: "noDefault"})
	}
	if err == nil {
		if c, ok := v.(interface{ Validate() error }); ok {
			return c.Validate()
		}
		return nil
	}
	fields, ferr := env.GetFieldParamsWithOptions(v, opts)
	var all env.AggregateError
	if ferr != nil || !errors.As(err, &all) {
		return fmt.Errorf("configuration %T: %w", v, err)
	}
	var faults []string
	for _, e := range all.Errors {
		if _, ok := errors.AsType[env.ParseError](e); !ok {
			faults = append(faults, explain(e))
		}
	}
	for _, f := range fields {
		// env names the Go field, which people who set variables do not know:
		// parse each variable alone to learn which one it is.
		value, set := p.environ[f.Key]
		if !set {
			continue
		}
		fresh := reflect.New(reflect.TypeOf(v).Elem()).Interface()
		alone := env.Options{Environment: map[string]string{f.Key: value}}
		if pe, ok := errors.AsType[env.ParseError](env.ParseWithOptions(fresh, alone)); ok {
			fault := fmt.Sprintf("%s is %q, expected %s", f.Key, clip(value), expected(pe))
			if !slices.Contains(faults, fault) { // several parts may read the same variable
				faults = append(faults, fault)
			}
		}
	}
	if len(faults) == 0 { // a default in the code that does not parse
		return fmt.Errorf("configuration %T: %w", v, err)
	}
	return errors.New(strings.Join(faults, "; "))
}

// Environ is the environment by name, without what is set to nothing.
func (p *Process) Environ() map[string]string { return maps.Clone(p.environ) }

// Setenv gives a variable another value, for what reads the environment through
// this process from then on. Not to be called while anything does.
func (p *Process) Setenv(name, value string) { p.environ[name] = value }

func explain(err error) string {
	if e, ok := errors.AsType[env.VarIsNotSetError](err); ok {
		return e.Key + " is not set, expected a value"
	}
	if e, ok := errors.AsType[env.EmptyVarError](err); ok {
		return e.Key + " is empty, expected a value"
	}
	if e, ok := errors.AsType[env.LoadFileContentError](err); ok {
		return fmt.Sprintf("%s names the file %q, which cannot be read: %v", e.Key, e.Filename, e.Err)
	}
	return err.Error()
}

var (
	duration    = reflect.TypeFor[time.Duration]()
	unmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func expected(e env.ParseError) string {
	t := e.Type
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == duration:
		return "a duration like 500ms, 10s or 2m"
	case reflect.PointerTo(t).Implements(unmarshaler):
		return strings.TrimPrefix(e.Err.Error(), "expected ")
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return fmt.Sprintf("a whole number of %d bits", t.Bits())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("a whole number from 0 to %d", ^uint64(0)>>(64-t.Bits()))
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "values separated by commas, each " + expected(env.ParseError{Type: t.Elem(), Err: e.Err})
	}
	return e.Err.Error()
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

func environ(list []string) map[string]string {
	m := make(map[string]string, len(list))
	for _, kv := range list {
		if k, v, ok := strings.Cut(kv, "="); ok && v != "" { // set to nothing means not set
			m[k] = v
		}
	}
	return m
}
