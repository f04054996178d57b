package functions_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/sqlite"
)

// The adapters fit.
var (
	_ functions.Log      = (*nats.Log)(nil)
	_ functions.Messages = (*sqlite.Messages)(nil)
	_ functions.Metadata = (*sqlite.Metadata)(nil)
	_ functions.Index    = (*sqlite.Search)(nil)
	_                    = functions.Stores{Messages: (*sqlite.Messages)(nil), Metadata: (*sqlite.Metadata)(nil), Search: (*sqlite.Search)(nil)}
)

type noLog struct{ functions.Log }

func (noLog) DedupWindow() time.Duration { return time.Minute }
func (noLog) Restored() time.Time        { return time.Time{} }

// all lists the functions by folder.
func all() map[string][]*functions.Function {
	byFolder := map[string][]*functions.Function{"writer": functions.Writers(functions.Stores{})}
	for _, f := range functions.Public(functions.Deps{Log: noLog{}}) {
		kind := "command"
		if strings.HasPrefix(f.Spec().Type, "chat.query.") {
			kind = "query"
		}
		byFolder[kind] = append(byFolder[kind], f)
	}
	return byFolder
}

// folders gives the names of the folders in a folder.
func folders(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != "internal" {
			names = append(names, e.Name())
		}
	}
	return names
}

// Every folder holds a function that is in the list and has a main, and the
// other way round; all folders are alike.
func TestFoldersAreTheList(t *testing.T) {
	var mains []string
	for kind, fns := range all() {
		var listed []string
		for _, f := range fns {
			listed = append(listed, f.Name())
		}
		assert.ElementsMatch(t, folders(t, kind), listed, "the list and functions/%s", kind)
		for _, f := range fns {
			mains = append(mains, f.Name())
			t.Run(f.Name(), func(t *testing.T) { alike(t, kind, f) })
		}
	}
	assert.ElementsMatch(t, folders(t, "cmd"), mains, "the list and functions/cmd")
}

func alike(t *testing.T, kind string, f *functions.Function) {
	t.Helper()
	dir, spec := filepath.Join(kind, f.Name()), f.Spec()
	for _, name := range []string{
		filepath.Join(dir, "handler.go"), filepath.Join(dir, "handler_test.go"), filepath.Join("cmd", f.Name(), "main.go"),
	} {
		assert.FileExists(t, name)
	}
	assert.NotEmpty(t, spec.Summary)

	fixture, err := os.ReadFile(filepath.Join(dir, "testdata", "ok.json"))
	require.NoError(t, err)
	e, err := events.ParseJSON(fixture)
	require.NoError(t, err)
	if kind == "writer" {
		assert.NotZero(t, e.Sequence, "a writer's event has a sequence")
		assert.Empty(t, spec.Method, "a writer has no REST route")
	} else {
		assert.Equal(t, spec.Type, e.Type)
		assert.Equal(t, "chat."+kind+"."+f.Name()+".v1", spec.Type)
		assert.True(t, strings.HasPrefix(spec.Path, "/v1/"), spec.Path)
		assert.Equal(t, kind == "query", spec.Method == http.MethodGet, spec.Method)
	}

	yaml, err := os.ReadFile(filepath.Join(dir, "func.yaml"))
	require.NoError(t, err)
	lines := strings.Split(string(yaml), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSpace(l)
	}
	for _, line := range []string{
		"specVersion: 0.36.0", "name: " + f.Name(), "runtime: go", "invoke: cloudevent",
		"liveness: /health/liveness", "readiness: /health/readiness",
	} {
		assert.True(t, slices.Contains(lines, line), "%s/func.yaml lacks %q", dir, line)
	}
	assert.Equal(t, kind != "writer", slices.Contains(lines, "- name: OIDC_ISSUER"), "whoever verifies tokens names the issuer, nobody else")
}

func TestAllFitOnOneMux(t *testing.T) {
	registry := prometheus.NewRegistry()
	serving := functions.Serving{Registerer: registry}
	public := functions.NewMux(functions.Public(functions.Deps{Log: noLog{}, Serving: serving})...)
	internal := functions.NewMux(functions.Writers(functions.Stores{Serving: serving})...)

	for _, f := range functions.Public(functions.Deps{Log: noLog{}}) {
		path := strings.ReplaceAll(f.Spec().Path, "{channel}", "ch_1")
		w := httptest.NewRecorder()
		public.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), f.Spec().Method, path, nil))
		assert.Equal(t, 401, w.Code, "%s %s", f.Spec().Method, path)
		assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	}
	w := httptest.NewRecorder()
	public.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/functions/messagewriter", nil))
	assert.Equal(t, 404, w.Code, "writers are not public")
	w = httptest.NewRecorder()
	internal.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/functions/messagewriter", nil))
	assert.Equal(t, 415, w.Code, "nothing is no CloudEvent")
}
