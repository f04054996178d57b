package invoke

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chat-platform/chat/events"
)

// serve keeps the function behind a proxy, prints what to paste, and shows every
// event as it is published.
func (s *stage) serve(ctx context.Context, mode string, fn *process) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	handler, err := s.proxy()
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	proxy := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	s.invite("http://"+ln.Addr().String(), mode)

	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer proxy.Close()
		select {
		case <-inner.Done():
			return nil
		case <-fn.ended:
			return fn.gone()
		}
	})
	group.Go(func() error {
		if err := proxy.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	for _, stream := range streams {
		group.Go(func() error {
			return s.log.Follow(inner, stream, nil, s.before[stream]+1, nil, func(es []events.Event) error {
				for _, e := range es {
					if err := s.printEvent(stream, e); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	return group.Wait()
}

// proxy hands requests on to the function, with what their senders cannot know.
func (s *stage) proxy() (http.Handler, error) {
	target, err := url.Parse(s.url)
	if err != nil {
		return nil, err
	}
	tokens := &tokens{get: s.token}
	onward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(res *http.Response) error {
			if s.kind == writer && res.StatusCode == http.StatusOK {
				return s.printStored(res.Request.Context())
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			slog.WarnContext(r.Context(), "the function does not answer", "error", err)
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.kind == writer {
			s.sequence(r.Header)
		} else if r.Header.Get("Authorization") == "" {
			token, err := tokens.current(r.Context())
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
		}
		onward.ServeHTTP(w, r)
	}), nil
}

// sequence completes an event in binary mode of the fixture's type, as the
// source would have sent it.
func (s *stage) sequence(h http.Header) {
	if h.Get("ce-type") != s.event.Type || h.Get("ce-sequence") != "" {
		return
	}
	for k, v := range s.event.Header() {
		if strings.HasPrefix(k, "ce-") && h.Get(k) == "" {
			h.Set(k, v[0])
		}
	}
}

// tokens renews the caller's token long before it expires.
type tokens struct {
	get func(context.Context) (string, error)

	mu    sync.Mutex
	token string
	since time.Time
}

func (t *tokens) current(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.since) < 30*time.Minute {
		return t.token, nil
	}
	token, err := t.get(ctx)
	if err == nil {
		t.token, t.since = token, time.Now()
	}
	return token, err
}

// invite prints what to paste: absolute paths, quoted for the shell.
func (s *stage) invite(at, mode string) {
	what := "requests without a token come from " + s.caller
	switch {
	case s.kind == writer:
		what = "events of its fixture's type without a sequence get the fixture's"
	case s.caller == "":
		what = "it adds no token"
	}
	data := "{}"
	var compact bytes.Buffer
	if json.Compact(&compact, s.event.Data) == nil && compact.Len() > 0 {
		data = compact.String()
	}
	fmt.Fprintf(s.out, "%s listens on %s; %s. Try:\n\n  %s\n  %s\n\nCtrl-C ends it.\n", s.function, at, what, s.curl(at, mode, data),
		line("func", "invoke", "--path", s.folder, "-f", "cloudevent", "-t", at, "--type", s.event.Type, "--data", data))
}

// curl is the command that posts the fixture.
func (s *stage) curl(at, mode, data string) string {
	switch mode {
	case "batch":
		return "{ printf '['; " + line("cat", s.path) + "; printf ']'; } | " +
			line("curl", "-i", at, "-H", "Content-Type: "+events.ContentTypeBatch, "--data-binary", "@-")
	case "binary":
		args := []string{"curl", "-i", at}
		headers := s.event.Header()
		names := make([]string, 0, len(headers))
		for k := range headers {
			names = append(names, k)
		}
		slices.Sort(names)
		for _, k := range names {
			args = append(args, "-H", k+": "+headers[k][0])
		}
		return line(append(args, "--data-binary", data)...)
	}
	return line("curl", "-i", at, "-H", "Content-Type: "+events.ContentTypeStructured, "--data-binary", "@"+s.path)
}

// line is a command for the shell.
func line(args ...string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = quote(a)
	}
	return strings.Join(quoted, " ")
}

// quote leaves what no shell reads anything into.
func quote(s string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_./:=@%+,", c)
	}
	if s != "" && strings.IndexFunc(s, func(c rune) bool { return !plain(c) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
