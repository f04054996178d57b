// Package invoke starts one function alone and hands it a CloudEvents fixture.
//
// The function runs as its own process, as it would in a container; beside it
// stand nothing but an embedded log, which holds the events of the function's
// testdata/given.json, and the development issuer, which gives a token for the
// user that the fixture's authid names. The views, in a temporary folder, hold
// what those events make of them, as if the writers had caught up. The answer
// and the events that the function published are printed, and what a writer
// stored. An answer that refuses is an answer: the fixtures of refusals end well.
//
// With Serve the function stays, behind a loopback proxy that adds what a
// caller such as `func invoke` cannot send: to commands and queries the token,
// as an ingress that authenticates would, to writers the event's subject and
// sequence, as the source would.
package invoke

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/embedded"
	"github.com/chat-platform/chat/local/issuer"
)

// Config says what to invoke.
type Config struct {
	Root     string // the repository
	Function string // like "sendmessage"
	Event    string // fixture in the function's testdata, without .json
	Mode     string // structured, binary or batch
	Serve    bool   // keep it running until ctx ends
	As       string // user of the token; the fixture's authid where empty
	Binaries string // folder that the function is built into; bin/functions in Root where empty
}

// Run builds and starts the function, posts the fixture and prints what came of
// it to out; the function's own log goes to log.
func Run(ctx context.Context, cfg Config, out, log io.Writer) error {
	fx, err := find(cfg)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "chat-invoke-")
	if err != nil {
		return fmt.Errorf("invoke %s: %w", cfg.Function, err)
	}
	defer os.RemoveAll(dir)
	if err := run(ctx, cfg, fx, dir, out, log); err != nil {
		return fmt.Errorf("invoke %s: %w", cfg.Function, err)
	}
	return nil
}

// stage is what stands around the function.
type stage struct {
	fixture
	function string // its name
	dir      string // data folder
	log      *natslog.Log
	before   map[string]uint64 // last sequence of each stream before the function started
	url      string            // of the function
	token    func(context.Context) (string, error)
	out      io.Writer
}

func run(ctx context.Context, cfg Config, fx fixture, dir string, out, log io.Writer) error {
	s := &stage{fixture: fx, function: cfg.Function, dir: dir, out: out}
	server, err := embedded.Start(embedded.Config{Dir: filepath.Join(dir, "log"), Port: -1})
	if err != nil {
		return err
	}
	defer server.Shutdown()
	if s.log, err = natslog.Open(ctx, natslog.Config{InProcess: server}); err != nil {
		return err
	}
	defer s.log.Close()
	if err := s.give(ctx); err != nil {
		return fmt.Errorf("given.json: %w", err)
	}

	issuerURL, stopIssuer, err := serveIssuer(ctx, dir)
	if err != nil {
		return err
	}
	defer stopIssuer()
	s.token = func(ctx context.Context) (string, error) {
		if fx.caller == "" {
			return "", nil
		}
		t, err := issuer.PasswordToken(ctx, http.DefaultClient, issuerURL, fx.caller, fx.roles...)
		if err != nil {
			return "", fmt.Errorf("token for %s: %w", fx.caller, err)
		}
		return t.AccessToken, nil
	}

	fn, err := start(ctx, cfg, log, "NATS_URL="+server.ClientURL(), "OIDC_ISSUER="+issuerURL, "OIDC_AUDIENCE="+audience, "DATA_DIR="+dir,
		"STORE_MESSAGES=sqlite", "STORE_METADATA=sqlite", "STORE_SEARCH=sqlite", "REDIS_URL=") // whatever else runs on this machine
	if err != nil {
		return err
	}
	defer fn.stop()
	s.url = fn.url
	if cfg.Serve {
		return s.serve(ctx, cfg.Mode, fn)
	}
	if err := s.post(ctx, cfg.Mode); err != nil {
		return err
	}
	if err := s.printPublished(ctx); err != nil {
		return err
	}
	return s.printStored(ctx)
}

const audience = "chat"

func serveIssuer(ctx context.Context, dir string) (string, func(), error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("development issuer: %w", err)
	}
	is, err := issuer.New(issuer.Config{BaseURL: "http://" + ln.Addr().String(), Listener: ln.Addr(), Dir: dir, Audience: audience, TokenLifetime: time.Hour})
	if err != nil {
		return "", nil, errors.Join(err, ln.Close())
	}
	srv := &http.Server{Handler: is.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(ln) }()
	return is.URL(), func() { _ = srv.Close() }, nil
}

// streams whose new events are shown.
var streams = []string{events.StreamMessages, events.StreamMetadata, events.StreamDeadLetters}
