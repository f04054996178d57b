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

// fixture is an event to post and what the log holds before.
type fixture struct {
	path   string
	raw    []byte       // structured mode, as in the file
	event  events.Event // the same, parsed
	caller string       // who sends it; empty: nobody
	scopes []string
	given  []events.Event
}

// find reads the fixture; its errors list what there is.
func find(cfg Config) (fixture, error) {
	if cfg.Mode != "structured" && cfg.Mode != "binary" && cfg.Mode != "batch" {
		return fixture{}, events.Invalid("invalid_mode", "mode", "mode is %q, expected structured, binary or batch", cfg.Mode)
	}
	folders, err := filepath.Glob(filepath.Join(cfg.Root, "functions", "*", cfg.Function, "testdata"))
	if err != nil || cfg.Function == "" || len(folders) != 1 {
		return fixture{}, events.Invalid("unknown_function", "function", "there is no function %q; there are: %s", cfg.Function, strings.Join(functions(cfg.Root), ", "))
	}
	f := fixture{path: filepath.Join(folders[0], cfg.Event+".json")}
	if f.raw, err = os.ReadFile(f.path); errors.Is(err, fs.ErrNotExist) {
		return fixture{}, events.Invalid("unknown_event", "event", "%s has no fixture %q; there are: %s", cfg.Function, cfg.Event, strings.Join(fixtures(folders[0]), ", "))
	} else if err != nil {
		return fixture{}, fmt.Errorf("fixture: %w", err)
	}
	if f.event, err = events.ParseJSON(f.raw); err != nil {
		return fixture{}, fmt.Errorf("fixture %s: %w", f.path, err)
	}
	var auth struct {
		AuthID     string `json:"authid"`
		AuthClaims string `json:"authclaims"`
	}
	if err := json.Unmarshal(f.raw, &auth); err != nil {
		return fixture{}, fmt.Errorf("fixture %s: %w", f.path, err)
	}
	f.caller = auth.AuthID
	if cfg.As != "" {
		f.caller = cfg.As
	}
	if strings.Contains(auth.AuthClaims, events.RoleImport) {
		f.scopes = []string{events.RoleImport}
	}
	given, err := os.ReadFile(filepath.Join(folders[0], "given.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	} else if err != nil {
		return fixture{}, fmt.Errorf("fixture: %w", err)
	}
	if f.given, err = events.ParseBatch(given); err != nil {
		return fixture{}, fmt.Errorf("fixture %s: %w", filepath.Join(folders[0], "given.json"), err)
	}
	return f, nil
}

func functions(root string) []string {
	folders, _ := filepath.Glob(filepath.Join(root, "functions", "*", "*", "testdata"))
	var names []string
	for _, f := range folders {
		names = append(names, filepath.Base(filepath.Dir(f)))
	}
	slices.Sort(names)
	return names
}

func fixtures(folder string) []string {
	files, _ := filepath.Glob(filepath.Join(folder, "*.json"))
	var names []string
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".json"); name != "given" && !strings.Contains(name, ".") {
			names = append(names, name)
		}
	}
	return names
}
