// Package platformtest starts the whole platform inside a test.
package platformtest

import (
	"bytes"
	"os"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/local/platform"
)

// Platform is one that runs in the test's process. One at a time is the rule of
// infra/process.
type Platform struct {
	URL string
	Dir string

	out     *buffer
	signals chan os.Signal
	code    chan int
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var page = regexp.MustCompile(`page +(http://\S+)/`)

// Start runs a platform on a free port with its data in dir (a temporary folder
// where dir is empty) until the test ends.
func Start(t testing.TB, dir string, environ ...string) *Platform {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	p := &Platform{Dir: dir, out: &buffer{}, signals: make(chan os.Signal, 2), code: make(chan int, 1)}
	env := append([]string{"PORT=0", "DATA_DIR=" + dir, "LOG_LEVEL=WARN", "NOTIFICATION_DRAIN_SPREAD=1ms"}, environ...)
	go func() {
		p.code <- process.Run("chat", process.World{Args: []string{"run"}, Environ: env, Stdout: p.out, Stderr: p.out, Signals: p.signals}, platform.Run)
	}()
	t.Cleanup(func() { p.Stop(t) })
	end := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if m := page.FindStringSubmatch(p.out.String()); m != nil {
			p.URL = m[1]
			return p
		}
		select {
		case c := <-p.code:
			p.code <- c
			t.Fatalf("the platform ended at once with %d: %s", c, p.out.String())
		case <-end:
			t.Fatalf("the platform does not start: %s", p.out.String())
		case <-tick.C:
		}
	}
}

// Output is what it has printed and logged.
func (p *Platform) Output() string { return p.out.String() }

// Stop sends SIGTERM and gives the exit code. A second Stop gives it again.
func (p *Platform) Stop(t testing.TB) int {
	t.Helper()
	select {
	case p.signals <- syscall.SIGTERM:
	default:
	}
	select {
	case c := <-p.code:
		p.code <- c
		return c
	case <-time.After(60 * time.Second):
		t.Fatalf("the platform does not end: %s", p.out.String())
		return -1
	}
}
