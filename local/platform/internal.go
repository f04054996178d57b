package platform

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions"
)

const headerTimeout = 10 * time.Second

// internal is the listener that only this machine reaches. The writers are there
// for the sources; what lies under /admin/ is for whoever can read file, which
// holds the listener's URL with a key that changes with every start.
type internal struct {
	url    string
	key    string
	file   string
	ln     net.Listener
	server *http.Server
}

func listenInternal(ctx context.Context, file string) (*internal, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the writers: %w", err)
	}
	return &internal{url: "http://" + ln.Addr().String(), key: rand.Text(), file: file, ln: ln}, nil
}

// serve begins to serve, and then says where.
func (i *internal) serve(writers *functions.Mux, admin map[string]http.Handler) error {
	writers.Handle("/admin/", i.guard(functions.NotFound))
	for path, h := range admin {
		writers.Handle(path, i.guard(h))
		writers.Handle(path+"/", i.guard(h))
	}
	i.server = &http.Server{Handler: writers, ReadHeaderTimeout: headerTimeout}
	go func() { _ = i.server.Serve(i.ln) }()
	if err := os.Remove(i.file); err != nil && !errors.Is(err, os.ErrNotExist) { // of one that was killed, perhaps readable to others
		return fmt.Errorf("say where the writers listen: %w", err)
	}
	if err := os.WriteFile(i.file, fmt.Appendf(nil, "http://operator:%s@%s\n", i.key, i.ln.Addr()), 0o600); err != nil {
		return fmt.Errorf("say where the writers listen: %w", err)
	}
	return nil
}

// guard lets those in who know the key. Other users of the machine, and pages in
// a browser on it, reach the listener too.
func (i *internal) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, key, _ := r.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(key), []byte(i.key)) != 1 {
			functions.WriteProblem(w, rand.Text(), events.NewFault(events.ErrForbidden, "key_wrong", "", "the request has not the key of this platform"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// close also takes the file away.
func (i *internal) close() {
	if i.server != nil {
		_ = os.Remove(i.file)
		_ = i.server.Close()
	}
	_ = i.ln.Close()
}
