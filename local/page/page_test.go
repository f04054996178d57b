package page_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/local/page"
)

func get(t *testing.T, h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandler(t *testing.T) {
	h := page.Handler("http://localhost:8081/realms/chat", "://", "https://a b")
	for path, mediaType := range map[string]string{
		"/": "text/html; charset=utf-8", "/index.html": "text/html; charset=utf-8", "/app.js": "text/javascript; charset=utf-8",
		"/style.css": "text/css; charset=utf-8", "/icon.svg": "image/svg+xml",
	} {
		w := get(t, h, "GET", path)
		require.Equal(t, 200, w.Code, path)
		require.Equal(t, mediaType, w.Header().Get("Content-Type"), path)
		require.NotZero(t, w.Body.Len(), path)

		again := get(t, h, "GET", path, "If-None-Match", w.Header().Get("ETag"))
		require.Equal(t, http.StatusNotModified, again.Code, path)
		require.Zero(t, again.Body.Len(), path)
	}
	for _, path := range []string{"/static/app.js", "/nothing", "/health/readiness", "/../page.go", "/v1/channels"} {
		require.Equal(t, http.StatusNotFound, get(t, h, "GET", path).Code, path)
	}
	require.Equal(t, http.StatusMethodNotAllowed, get(t, h, "POST", "/").Code)

	policy := get(t, h, "GET", "/").Header().Get("Content-Security-Policy")
	require.Contains(t, policy, "connect-src 'self' http://localhost:8081;")
	require.Contains(t, policy, "script-src 'self';")
	require.NotContains(t, policy, "unsafe")
}

// The files must not need what the policy forbids, nor another host.
func TestFilesKeepThePolicy(t *testing.T) {
	forbidden := map[string]*regexp.Regexp{
		"markup from strings": regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function`),
		"script in markup":    regexp.MustCompile(`<script(?:[^>]*)>[^<]|\son[a-z]+="|style="|javascript:`),
		"another host":        regexp.MustCompile(`(?:src|href)="(?:https?:)?//|@import|url\(["']?(?:https?:)?//`),
	}
	files, err := filepath.Glob("static/*")
	require.NoError(t, err)
	require.Greater(t, len(files), 10)
	imported := regexp.MustCompile(`from '\./([\w.]+)'`)
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		for what, re := range forbidden {
			require.Emptyf(t, re.FindString(string(b)), "%s in %s", what, f)
		}
		for _, m := range imported.FindAllStringSubmatch(string(b), -1) {
			require.FileExists(t, filepath.Join("static", m[1]), "imported by "+f)
		}
		if strings.HasSuffix(f, ".js") {
			require.LessOrEqualf(t, strings.Count(string(b), "\n"), 300, "%s is long: split it by noun", f)
		}
	}
}

// Every element that a script asks for by its id is in the page.
func TestIDsExist(t *testing.T) {
	html, err := os.ReadFile("static/index.html")
	require.NoError(t, err)
	scripts, err := filepath.Glob("static/*.js")
	require.NoError(t, err)
	asked := regexp.MustCompile(`byId\('([\w-]+)'\)`)
	n := 0
	for _, f := range scripts {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		for _, m := range asked.FindAllStringSubmatch(string(b), -1) {
			n++
			require.Containsf(t, string(html), ` id="`+m[1]+`"`, "asked for by %s", f)
		}
	}
	require.Greater(t, n, 20)
}
