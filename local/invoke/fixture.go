package invoke

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chat-platform/chat/events"
)

var (
	modes = []string{"structured", "binary", "batch"}
	kinds = []string{"command", "query", "writer"} // folders of functions
)

const writer = "writer"

// fixture is an event to post and what the log holds before.
type fixture struct {
	kind   string       // command, query or writer
	folder string       // of the function, absolute
	path   string       // of the event, absolute
	raw    []byte       // structured mode, as in the file
	event  events.Event // the same, parsed
	caller string       // who sends it; empty: nobody
	roles  []string
	given  []events.Event
}

// find reads the fixture; its errors list what there is.
func find(cfg Config) (fixture, error) {
	if !slices.Contains(modes, cfg.Mode) {
		return fixture{}, events.Invalid("invalid_mode", "mode", "there is no mode %q; there are: %s", cfg.Mode, strings.Join(modes, ", "))
	}
	root, err := filepath.Abs(cfg.Root)
	if err != nil {
		return fixture{}, fmt.Errorf("repository %s: %w", cfg.Root, err)
	}
	f := fixture{}
	if f.folder, f.kind, err = function(root, cfg.Function); err != nil {
		return f, err
	}
	testdata := filepath.Join(f.folder, "testdata")
	names := fixtures(testdata)
	if !slices.Contains(names, cfg.Event) {
		return f, events.Invalid("unknown_event", "event", "%s has no fixture %q; there are: %s", cfg.Function, cfg.Event, strings.Join(names, ", "))
	}
	f.path = filepath.Join(testdata, cfg.Event+".json")
	if f.raw, err = os.ReadFile(f.path); err != nil {
		return f, fmt.Errorf("fixture: %w", err)
	}
	if f.event, err = events.ParseJSON(f.raw); err != nil {
		return f, fmt.Errorf("fixture %s: %w", f.path, err)
	}
	if err := f.authenticate(); err != nil {
		return f, fmt.Errorf("fixture %s: %w", f.path, err)
	}
	if cfg.As != "" && f.kind != writer {
		f.caller = cfg.As
	}
	return f, f.assume(filepath.Join(testdata, "given.json"))
}

// authenticate reads who calls from the CloudEvents auth-context extensions.
// Writers ask for no token and get none.
func (f *fixture) authenticate() error {
	var auth struct {
		Type   string `json:"authtype"`
		ID     string `json:"authid"`
		Claims string `json:"authclaims"`
	}
	if err := json.Unmarshal(f.raw, &auth); err != nil {
		return err
	}
	if f.kind == writer || auth.Type != "user" {
		return nil
	}
	var claims struct {
		Roles []string `json:"roles"`
	}
	if auth.Claims != "" {
		if err := json.Unmarshal([]byte(auth.Claims), &claims); err != nil {
			return fmt.Errorf("authclaims %q: %w", auth.Claims, err)
		}
	}
	for _, r := range claims.Roles {
		if r != events.RoleImport {
			return events.Invalid("unknown_role", "authclaims", "role %q is none that the development issuer gives; it gives: %s", r, events.RoleImport)
		}
	}
	f.caller, f.roles = auth.ID, claims.Roles
	return nil
}

// assume reads the events that the log holds before; a folder needs none.
func (f *fixture) assume(path string) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("fixture: %w", err)
	}
	if f.given, err = events.ParseBatch(b); err != nil {
		return fmt.Errorf("fixture %s: %w", path, err)
	}
	return nil
}

// function finds a function's folder and kind.
func function(root, name string) (folder, kind string, err error) {
	var names []string
	for _, kind := range kinds {
		files, _ := filepath.Glob(filepath.Join(root, "functions", kind, "*", "testdata")) // the pattern is sound
		for _, f := range files {
			folder := filepath.Dir(f)
			if filepath.Base(folder) == name {
				return folder, kind, nil
			}
			names = append(names, filepath.Base(folder))
		}
	}
	if len(names) == 0 {
		return "", "", events.Invalid("no_functions", "root", "there are no functions below %s; -root names the repository", root)
	}
	slices.Sort(names)
	if name == "" {
		return "", "", events.Invalid("unknown_function", "function", "no function is named; there are: %s", strings.Join(names, ", "))
	}
	return "", "", events.Invalid("unknown_function", "function", "there is no function %q; there are: %s", name, strings.Join(names, ", "))
}

// fixtures lists the events of a folder: what is neither given.json nor a golden
// answer, whose names have a dot.
func fixtures(folder string) []string {
	files, _ := filepath.Glob(filepath.Join(folder, "*.json")) // in order; the pattern is sound
	var names []string
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".json"); name != "given" && !strings.Contains(name, ".") {
			names = append(names, name)
		}
	}
	return names
}
