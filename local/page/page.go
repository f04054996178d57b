// Package page is the web page of the platform: static files in the binary,
// without a build step and without anything from another host.
//
// The files under static are what the browser gets. The page asks /v1/config for
// the issuer and the WebSocket's path and is otherwise an ordinary client of the
// public API. No script or style stands in the markup, and the content security
// policy allows none; what people wrote is put on the page as text only.
package page

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
)

//go:embed static
var embedded embed.FS

type file struct {
	content   []byte
	mediaType string
	tag       string
}

// Handler serves the page at / and its files beside it. Anything else is a 404.
// issuers are the URLs of token issuers that the page may talk to besides its
// own origin. A URL that cannot be read is left out.
func Handler(issuers ...string) http.Handler {
	files := load()
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; manifest-src 'self'; " +
		"connect-src " + strings.Join(append([]string{"'self'"}, origins(issuers)...), " ") +
		"; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/")
		if name == "" {
			name = "index.html"
		}
		f, ok := files[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache") // kept, but asked for with its tag each time
		h.Set("ETag", f.tag)
		if strings.Contains(r.Header.Get("If-None-Match"), f.tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Content-Type", f.mediaType)
		h.Set("Content-Length", strconv.Itoa(len(f.content)))
		_, _ = w.Write(f.content) // or the asker is gone
	})
}

func origins(urls []string) []string {
	var os []string
	for _, s := range urls {
		if u, err := url.Parse(s); err == nil && u.Host != "" && !strings.ContainsAny(u.Host, " ;,'") {
			os = append(os, u.Scheme+"://"+u.Host)
		}
	}
	return os
}

// mediaTypes are given here, since the host's own table may lack or bend them.
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

func load() map[string]file {
	files := map[string]file{}
	err := fs.WalkDir(embedded, "static", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := embedded.ReadFile(p)
		if err != nil {
			return err
		}
		t := mediaTypes[path.Ext(p)]
		if t == "" {
			t = mime.TypeByExtension(path.Ext(p))
		}
		sum := sha256.Sum256(b)
		tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
		files[strings.TrimPrefix(p, "static/")] = file{b, t, tag}
		return nil
	})
	if err != nil {
		panic(fmt.Sprintf("embedded page: %v", err)) // the binary is broken
	}
	return files
}
