// Package invoke starts one function alone and hands it a CloudEvents fixture.
//
// The function runs as its own process, as it would in a container; beside it
// stand nothing but an embedded log, which holds the events of the function's
// testdata/given.json, and the development issuer, which gives a token for the
// user that the fixture's authid names. The answer and the events that the
// function published are printed.
//
// With Serve the function stays, behind a loopback proxy that adds the token,
// as an ingress that authenticates would: `func invoke` sends no headers.
package invoke

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
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

	l, server, err := openLog(ctx, dir)
	if err != nil {
		return fmt.Errorf("invoke %s: %w", cfg.Function, err)
	}
	defer server.Shutdown()
	defer l.Close()
	if err := publish(ctx, l, fx.given); err != nil {
		return fmt.Errorf("invoke %s: given.json: %w", cfg.Function, err)
	}
	before, err := positions(ctx, l)
	if err != nil {
		return err
	}

	issuerURL, stopIssuer, err := serveIssuer(ctx, dir)
	if err != nil {
		return fmt.Errorf("invoke %s: %w", cfg.Function, err)
	}
	defer stopIssuer()
	token := ""
	if fx.caller != "" {
		t, err := issuer.PasswordToken(ctx, http.DefaultClient, issuerURL, fx.caller, fx.scopes...)
		if err != nil {
			return fmt.Errorf("invoke %s: token for %s: %w", cfg.Function, fx.caller, err)
		}
		token = t.AccessToken
	}

	fn, err := start(ctx, cfg, dir, server.ClientURL(), issuerURL, log)
	if err != nil {
		return err
	}
	defer fn.stop()
	if cfg.Serve {
		return serve(ctx, cfg, fx, fn, token, l, before, out)
	}
	if err := post(ctx, cfg, fx, fn.url, token, out); err != nil {
		return err
	}
	return printPublished(ctx, l, before, out)
}

func openLog(ctx context.Context, dir string) (*natslog.Log, *embedded.Server, error) {
	server, err := embedded.Start(embedded.Config{Dir: filepath.Join(dir, "log"), Port: -1})
	if err != nil {
		return nil, nil, err
	}
	l, err := natslog.Open(ctx, natslog.Config{InProcess: server})
	if err != nil {
		server.Shutdown()
		return nil, nil, err
	}
	return l, server, nil
}

func publish(ctx context.Context, l *natslog.Log, es []events.Event) error {
	_, errs := l.PublishAll(ctx, es, nil)
	return errors.Join(errs...)
}

// streams whose new events are shown.
var streams = []string{events.StreamMessages, events.StreamMetadata, events.StreamDeadLetters}

func positions(ctx context.Context, l *natslog.Log) (map[string]uint64, error) {
	at := map[string]uint64{}
	for _, s := range streams {
		seq, err := l.LastSequence(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("position of %s: %w", s, err)
		}
		at[s] = seq
	}
	return at, nil
}

func serveIssuer(ctx context.Context, dir string) (string, func(), error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	is, err := issuer.New(issuer.Config{BaseURL: "http://" + ln.Addr().String(), Listener: ln.Addr(), Dir: dir, Audience: "chat", TokenLifetime: time.Hour})
	if err != nil {
		_ = ln.Close()
		return "", nil, err
	}
	srv := &http.Server{Handler: is.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(ln) }()
	return is.URL(), func() { _ = srv.Close() }, nil
}

// function is the started process.
type function struct {
	url  string
	cmd  *exec.Cmd
	done chan error
}

func start(ctx context.Context, cfg Config, dir, natsURL, issuerURL string, log io.Writer) (*function, error) {
	binary := filepath.Join(dir, cfg.Function)
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./functions/cmd/"+cfg.Function)
	build.Dir, build.Env = cfg.Root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w\n%s", cfg.Function, err, out)
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", cfg.Function, err)
	}
	cmd := exec.CommandContext(ctx, binary)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 15 * time.Second
	cmd.Env = append(os.Environ(), "PORT="+strconv.Itoa(port), "LISTEN_ADDRESS=127.0.0.1", "NATS_URL="+natsURL,
		"OIDC_ISSUER="+issuerURL, "OIDC_AUDIENCE=chat", "DATA_DIR="+dir)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cfg.Function, err)
	}
	f := &function{url: "http://127.0.0.1:" + strconv.Itoa(port), cmd: cmd, done: make(chan error, 1)}
	go func() { f.done <- cmd.Wait() }()
	if err := f.ready(ctx); err != nil {
		f.stop()
		return nil, fmt.Errorf("start %s: %w", cfg.Function, err)
	}
	return f, nil
}

func freePort(ctx context.Context) (int, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

func (f *function) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+"/health/readiness", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-f.done:
			f.done <- err
			return fmt.Errorf("it ended at once: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (f *function) stop() {
	_ = f.cmd.Process.Signal(syscall.SIGTERM)
	<-f.done
}

// pretty is JSON for people, or the bytes as they are.
func pretty(b []byte) string {
	var v any
	if json.Unmarshal(b, &v) != nil {
		return strings.TrimSpace(string(b))
	}
	p, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return string(b)
	}
	return string(p)
}
