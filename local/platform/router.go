package platform

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"

	"github.com/chat-platform/chat/functions"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/local/issuer"
	"github.com/chat-platform/chat/local/page"
	"github.com/chat-platform/chat/longrunning/notification"
)

// socketPath is where clients open their WebSockets.
const socketPath = "/ws"

// router is the public side.
type router struct {
	url          string
	dev          bool // tokens come from the development issuer
	handler      http.Handler
	notification *notification.Service
}

func newRouter(cfg Config, p *process.Process, addr net.Addr, log *natslog.Log, v *views, limiter functions.Limiter, pages *functions.Pages) (*router, error) {
	r := &router{url: cfg.publicURL(addr)}
	mux := functions.NewMux()
	issuerURL := cfg.Issuer
	if issuerURL == "" {
		dev := cfg.Dev
		dev.BaseURL, dev.Listener, dev.Dir, dev.Audience = r.url, addr, cfg.DataDir, cfg.Audience
		is, err := issuer.New(dev)
		if err != nil {
			return nil, err
		}
		r.dev, issuerURL = true, is.URL()
		for _, method := range []string{"GET ", "POST ", "OPTIONS "} {
			mux.Handle(method+"/dev/", is.Handler())
		}
	}
	verifier := cfg.verifier(issuerURL)
	fns := functions.Public(functions.Deps{
		Log: log, Messages: v.messages, Metadata: v.metadata, Index: v.search, Pages: pages,
		Serving: functions.Serving{Verifier: verifier, Limiter: limiter, Logger: p.Log, Registerer: p.Registry},
	})
	if err := start(context.Background(), p, fns); err != nil {
		return nil, err
	}
	for _, f := range fns {
		f.Mount(&mux.ServeMux)
	}
	r.notification = newNotification(cfg, p, log, verifier)
	p.Ready("notification", r.notification.Ready)
	mux.Handle("GET "+socketPath, r.notification.Handler())
	public, err := json.Marshal(map[string]string{"issuer": issuerURL, "client_id": cfg.ClientID, "websocket_path": socketPath})
	if err != nil {
		return nil, fmt.Errorf("public configuration: %w", err)
	}
	mux.HandleFunc("GET /v1/config", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(public)
	})
	if cfg.Profiling && r.dev {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	mux.Handle("GET /v1/", functions.NotFound)
	mux.Handle("POST /functions/", functions.NotFound)
	mux.Handle("GET /", page.Handler(issuerURL))
	r.handler = functions.CORS(cfg.Origins, mux)
	return r, nil
}

// banner says where things are, and two commands to paste. nats is empty where
// the log has no port.
func (r *router) banner(out io.Writer, nats string) {
	fmt.Fprintf(out, "\nThe chat is running. Ctrl-C ends it.\n\n")
	for _, l := range [...][2]string{
		{"page", r.url + "/"}, {"REST", r.url + "/v1"}, {"WebSocket", "ws" + r.url[len("http"):] + socketPath},
		{"readiness", r.url + "/health/readiness"}, {"metrics", r.url + "/metrics"}, {"NATS", nats},
	} {
		if l[1] == "" {
			continue
		}
		fmt.Fprintf(out, "  %-10s %s\n", l[0], l[1])
	}
	if !r.dev {
		return
	}
	fmt.Fprintf(out, `
Two commands to begin with, as alice:

  TOKEN=$(curl -s %[1]s/dev/token -d grant_type=password -d username=alice | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl -s %[1]s/v1/channels -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"name":"General"}'

`, r.url)
}
