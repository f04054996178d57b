package invoke

import (
	"bytes"
	"context"
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
)

const (
	startWithin = 30 * time.Second
	stopWithin  = 20 * time.Second // more than a function drains
)

// process is the started function.
type process struct {
	url   string
	cmd   *exec.Cmd
	ended chan struct{} // closed, once err is set
	err   error
}

// start builds the function, unless what is there is up to date, and returns
// once it is ready.
func start(ctx context.Context, cfg Config, log io.Writer, environ ...string) (*process, error) {
	binaries := cfg.Binaries
	if binaries == "" {
		binaries = filepath.Join(cfg.Root, "bin", "functions")
	}
	binary, err := filepath.Abs(filepath.Join(binaries, cfg.Function))
	if err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s", "-o", binary, "./functions/cmd/"+cfg.Function) //nolint:gosec // as the Makefile; the function was looked up by its folder
	build.Dir, build.Env = cfg.Root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build: %w\n%s", err, out)
	}
	// A port that was free may be taken by the time the function listens.
	for try := 1; ; try++ {
		f, taken, err := launch(ctx, binary, log, environ)
		if err == nil {
			return f, nil
		}
		if !taken || try == portTries {
			return nil, fmt.Errorf("start: %w", err)
		}
	}
}

// portTries is how many ports are tried.
const portTries = 5

// launch starts the binary on a free port; taken says that it failed because
// another process was faster there.
func launch(ctx context.Context, binary string, log io.Writer, environ []string) (f *process, taken bool, err error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, false, err
	}
	// The process outlives ctx until stop, which lets it drain.
	cmd := exec.Command(binary) //nolint:noctx // built by start; see stop
	cmd.Env = append(os.Environ(), append(environ, "PORT="+strconv.Itoa(port), "LISTEN_ADDRESS=127.0.0.1")...)
	if os.Getenv("LOG_LEVEL") == "" {
		cmd.Env = append(cmd.Env, "LOG_LEVEL=WARN")
	}
	said := &head{}
	both := io.MultiWriter(log, said)
	cmd.Stdout, cmd.Stderr = both, both
	apart(cmd)
	if err := cmd.Start(); err != nil {
		return nil, false, err
	}
	f = &process{url: "http://127.0.0.1:" + strconv.Itoa(port), cmd: cmd, ended: make(chan struct{})}
	go func() {
		f.err = cmd.Wait()
		close(f.ended)
	}()
	if err := f.ready(ctx); err != nil {
		f.stop()
		return nil, strings.Contains(said.String(), fmt.Sprintf("port %d is in use", port)), err
	}
	return f, false, nil
}

// head keeps the first lines of what is written to it. The process has ended
// before it is read.
type head struct{ bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	if room := 4096 - h.Len(); room > 0 {
		h.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func freePort(ctx context.Context) (int, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := ln.Addr().(*net.TCPAddr).Port
	return port, ln.Close()
}

func (f *process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+"/health/readiness", nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-f.ended:
			return f.gone()
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// gone says that the process has ended by itself.
func (f *process) gone() error {
	if f.err == nil {
		return errors.New("the function has ended")
	}
	return fmt.Errorf("the function has ended: %w", f.err)
}

// stop lets the function drain, and kills it where it does not.
func (f *process) stop() {
	_ = f.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-f.ended:
	case <-time.After(stopWithin):
		_ = f.cmd.Process.Kill()
		<-f.ended
	}
}
