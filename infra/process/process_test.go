package process_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/process"
)

// buffer is a writer that may be read while it is written to.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) { b.mu.Lock(); defer b.mu.Unlock(); return b.b.Write(p) }
func (b *buffer) String() string              { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

// running is a process under test.
type running struct {
	stderr  *buffer
	signals chan os.Signal
	code    chan int
}

func start(f func(context.Context, *process.Process) error, environ ...string) *running {
	r := &running{stderr: &buffer{}, signals: make(chan os.Signal, 2), code: make(chan int, 1)}
	go func() {
		r.code <- process.Run("chatd", process.World{
			Args: []string{"run"}, Environ: environ, Stdout: io.Discard, Stderr: r.stderr, Signals: r.signals,
		}, f)
	}()
	return r
}

func (r *running) exit(t *testing.T) int {
	t.Helper()
	select {
	case c := <-r.code:
		return c
	case <-time.After(time.Minute):
		t.Fatal("the process does not end; it said: " + r.stderr.String())
		return -1
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(context.Context, *process.Process) error
		env  []string
		code int
		says string
	}{
		{"done", func(context.Context, *process.Process) error { return nil }, nil, 0, ""},
		{"canceled", func(context.Context, *process.Process) error { return context.Canceled }, nil, 0, ""},
		{"fails", func(context.Context, *process.Process) error { return errors.New("open DATA_DIR: read-only") }, nil, 1, "chatd: open DATA_DIR: read-only\n"},
		{"fails in JSON", func(context.Context, *process.Process) error { return errors.New("no disk") }, []string{"LOG_FORMAT=json"}, 1, `"error":"no disk"`},
		{"panics", func(context.Context, *process.Process) error { panic("oh") }, nil, 1, "chatd: panic: oh\n"},
		{"bad port", nil, []string{"PORT=http"}, 1, "chatd: PORT is \"http\", expected a whole number from 0 to 65535\n"},
		{"bad level", nil, []string{"LOG_LEVEL=loud"}, 1, `LOG_LEVEL is "loud"`},
		{"bad format", nil, []string{"LOG_FORMAT=xml"}, 1, "chatd: LOG_FORMAT is \"xml\", expected \"text\" or \"json\"\n"},
		{"bad ratio", nil, []string{"OTEL_TRACES_SAMPLER_ARG=7"}, 1, "OTEL_TRACES_SAMPLER_ARG is 7, expected a number from 0 to 1"},
		{"several", nil, []string{"PORT=70000", "DRAIN_TIMEOUT=soon"}, 1, `DRAIN_TIMEOUT is "soon", expected a duration like 500ms, 10s or 2m`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(c.run, c.env...)
			require.Equal(t, c.code, r.exit(t))
			require.Contains(t, r.stderr.String(), c.says)
		})
	}
}

func TestConfig(t *testing.T) {
	type nested struct {
		URL string `env:"URL,required"`
	}
	type config struct {
		Wait    time.Duration `env:"WAIT" envDefault:"1s"`
		On      bool          `env:"ON"`
		Ratio   float64       `env:"RATIO"`
		Count   *int8         `env:"COUNT"`
		Sizes   []int         `env:"SIZES"`
		Level   slog.Level    `env:"LEVEL"`
		Address string        `env:"ADDRESS" envDefault:"everywhere"`
		Key     string        `env:"KEY,file"`
		Store   nested        `envPrefix:"STORE_"`
	}
	for _, c := range []struct{ name, env, want string }{
		{"good", "STORE_URL=x WAIT=2s ON=true SIZES=1,2 COUNT=3", ""},
		{"empty is not set", "STORE_URL=x WAIT=", ""},
		{"required", "", "STORE_URL is not set, expected a value"},
		{"bool", "STORE_URL=x ON=perhaps", `ON is "perhaps", expected true or false`},
		{"float", "STORE_URL=x RATIO=half", `RATIO is "half", expected a number`},
		{"int", "STORE_URL=x COUNT=300", `COUNT is "300", expected a whole number of 8 bits`},
		{"list", "STORE_URL=x SIZES=1,b", `SIZES is "1,b", expected values separated by commas, each a whole number of 64 bits`},
		{"text", "STORE_URL=x LEVEL=?", `LEVEL is "?"`},
		{"long", "STORE_URL=x ON=" + strings.Repeat("y", 100), strings.Repeat("y", 64) + `…"`},
		{"file", "STORE_URL=x KEY=/nowhere/at/all", `KEY names the file "/nowhere/at/all", which cannot be read`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(func(_ context.Context, p *process.Process) error {
				cfg := config{Address: "localhost"}
				if err := p.Config(&cfg); err != nil {
					return err
				}
				if cfg.Address != "localhost" || cfg.Wait == 0 {
					return fmt.Errorf("got %+v", cfg)
				}
				return nil
			}, strings.Fields(c.env)...)
			code := r.exit(t)
			require.Equal(t, c.want != "", code == 1, r.stderr.String())
			require.Contains(t, r.stderr.String(), c.want)
		})
	}
}

func TestConfigNamesAVariableOnce(t *testing.T) {
	type view struct {
		Sync bool `env:"SYNC"`
	}
	type config struct {
		Log, Messages, Search view
	}
	r := start(func(_ context.Context, p *process.Process) error { return p.Config(&config{}) }, "SYNC=maybe")
	require.Equal(t, 1, r.exit(t))
	require.Equal(t, "chatd: SYNC is \"maybe\", expected true or false\n", r.stderr.String())
}

type picky struct {
	N int `env:"N" envDefault:"3"`
}

func (p picky) Validate() error {
	if p.N > 2 {
		return fmt.Errorf("N is %d, expected at most 2", p.N)
	}
	return nil
}

func TestConfigValidates(t *testing.T) {
	load := func(_ context.Context, p *process.Process) error { return p.Config(&picky{}) }
	r := start(load)
	require.Equal(t, 1, r.exit(t))
	require.Contains(t, r.stderr.String(), "N is 3, expected at most 2")
	require.Equal(t, 0, start(load, "N=1").exit(t))
	r = start(func(_ context.Context, p *process.Process) error {
		return p.Config(&struct {
			N int `env:"M" envDefault:"x"`
		}{})
	})
	require.Equal(t, 1, r.exit(t), "a default that does not parse is a fault too")
}

// serving starts a process that serves handler on a free port of loopback, and
// gives its base URL.
func serving(t *testing.T, h http.Handler, setup func(*process.Process), environ ...string) (*running, string) {
	t.Helper()
	addr := make(chan string, 1)
	r := start(func(ctx context.Context, p *process.Process) error {
		if setup != nil {
			setup(p)
		}
		ln, err := p.Listen(ctx, "127.0.0.1")
		if err != nil {
			return err
		}
		addr <- ln.Addr().String()
		return p.ServeOn(ctx, ln, h)
	}, append(environ, "PORT=0")...)
	return r, "http://" + <-addr
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func TestServe(t *testing.T) {
	inner := http.NewServeMux()
	inner.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hi") })
	var mu sync.Mutex
	var down error
	r, url := serving(t, inner, func(p *process.Process) {
		p.Ready("store", func(context.Context) error { mu.Lock(); defer mu.Unlock(); return down })
		p.Live("loop", func(context.Context) error { return nil })
	})
	code, body := get(t, url+"/hello")
	require.Equal(t, "200 hi", fmt.Sprint(code, " ", body))
	code, body = get(t, url+"/metrics")
	require.Equal(t, 200, code)
	require.Contains(t, body, "go_goroutines")
	code, body = get(t, url+"/health/readiness")
	require.Equal(t, 200, code)
	require.JSONEq(t, `{"status":"ok","checks":{"store":"ok"}}`, body)
	code, body = get(t, url+"/health/liveness")
	require.Equal(t, 200, code)
	require.JSONEq(t, `{"status":"ok","checks":{"loop":"ok"}}`, body)

	mu.Lock()
	down = errors.New("disk full")
	mu.Unlock()
	code, body = get(t, url+"/health/readiness")
	require.Equal(t, 503, code)
	require.JSONEq(t, `{"status":"unavailable","checks":{"store":"disk full"}}`, body)

	code, body = get(t, url+"/health/liveness")
	require.Equal(t, 200, code, "an outage elsewhere is no reason to restart: %s", body)

	r.signals <- syscall.SIGTERM
	require.Equal(t, 0, r.exit(t))
	_, err := http.Get(url + "/hello")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

// What the process can do without is told, and costs no readiness; a check that
// waits for ever takes nothing from the others.
func TestReadyWithoutWhatIsNotNeeded(t *testing.T) {
	var mu sync.Mutex
	var log error
	_, url := serving(t, http.NewServeMux(), func(p *process.Process) {
		p.Tells("view", func(ctx context.Context) error { <-ctx.Done(); return errors.New("away") })
		p.Tells("index", func(context.Context) error { return nil })
		p.Ready("log", func(ctx context.Context) error { mu.Lock(); defer mu.Unlock(); return errors.Join(log, ctx.Err()) })
	})
	code, body := get(t, url+"/health/readiness")
	require.Equal(t, 200, code)
	require.JSONEq(t, `{"status":"degraded","checks":{"log":"ok","index":"ok","view":"away"}}`, body)
	mu.Lock()
	log = errors.New("gone")
	mu.Unlock()
	code, body = get(t, url+"/health/readiness")
	require.Equal(t, 503, code)
	require.JSONEq(t, `{"status":"unavailable","checks":{"log":"gone","index":"ok","view":"away"}}`, body)
}

func TestHealthOfTheHandlerCounts(t *testing.T) {
	inner := http.NewServeMux()
	inner.HandleFunc("/health/readiness", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Inner", "yes")
		http.Error(w, "warming up", http.StatusServiceUnavailable)
	})
	inner.HandleFunc("/health/liveness", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "alive") })
	r, url := serving(t, inner, nil)
	code, body := get(t, url+"/health/readiness")
	require.Equal(t, 503, code)
	require.Contains(t, body, "warming up")
	code, body = get(t, url+"/health/liveness")
	require.Equal(t, "200 alive", fmt.Sprint(code, " ", body))
	r.signals <- os.Interrupt
	require.Equal(t, 0, r.exit(t))
}

func TestDrainLetsRequestsEnd(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	inner := http.NewServeMux()
	inner.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		if r.Context().Err() != nil {
			http.Error(w, "cut", http.StatusInternalServerError)
		}
		fmt.Fprint(w, "done")
	})
	r, url := serving(t, inner, nil, "DRAIN_DELAY=200ms")
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get(url + "/slow")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answer <- string(b)
	}()
	<-entered
	r.signals <- syscall.SIGTERM
	require.Eventually(t, func() bool {
		resp, err := http.Get(url + "/health/readiness")
		if err != nil {
			return true // the delay is over already
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusServiceUnavailable
	}, time.Minute, 5*time.Millisecond, "not ready while draining")
	close(release)
	require.Equal(t, "done", <-answer)
	require.Equal(t, 0, r.exit(t))
}

func TestDrainIsBounded(t *testing.T) {
	entered := make(chan struct{})
	inner := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done() // ended by the cut only
	})
	r, url := serving(t, inner, nil, "DRAIN_TIMEOUT=20ms")
	go http.Get(url + "/x") // cut off
	<-entered
	r.signals <- syscall.SIGTERM
	require.Equal(t, 0, r.exit(t))
	require.Contains(t, r.stderr.String(), "requests cut off")
}

func TestSecondSignalKills(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	draining := make(chan struct{})
	r := start(func(ctx context.Context, _ *process.Process) error {
		<-ctx.Done()
		close(draining)
		<-never
		return nil
	})
	r.signals <- os.Interrupt
	<-draining
	r.signals <- os.Interrupt
	require.Equal(t, 130, r.exit(t))
}

func TestListenFaults(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	serve := func(ctx context.Context, p *process.Process) error { return p.Serve(ctx, http.NotFoundHandler()) }

	r := start(serve, fmt.Sprintf("PORT=%d", port), "LISTEN_ADDRESS=127.0.0.1")
	require.Equal(t, 1, r.exit(t))
	require.Equal(t, fmt.Sprintf("chatd: port %d is in use by another process: choose another one by PORT\n", port), r.stderr.String())

	r = start(serve, "PORT=0", "LISTEN_ADDRESS=192.0.2.1")
	require.Equal(t, 1, r.exit(t))
	require.Equal(t, "chatd: LISTEN_ADDRESS \"192.0.2.1\" is no address of this host\n", r.stderr.String())

	r = start(serve, "PORT=0", "LISTEN_ADDRESS=no.such.host.invalid")
	require.Equal(t, 1, r.exit(t))
	require.Contains(t, r.stderr.String(), "LISTEN_ADDRESS")
}

func TestServeFailsWithItsListener(t *testing.T) {
	r := start(func(ctx context.Context, p *process.Process) error {
		ln, err := p.Listen(ctx, "127.0.0.1")
		if err != nil {
			return err
		}
		if err := ln.Close(); err != nil {
			return err
		}
		return p.ServeOn(ctx, ln, http.NotFoundHandler())
	}, "PORT=0")
	require.Equal(t, 1, r.exit(t))
	require.Contains(t, r.stderr.String(), "serve on 127.0.0.1")
}

func TestMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	process.LimitMemory(map[string]string{"GOMEMLIMIT": "1GiB"}, func() (int64, bool) { return 1000 << 20, true })
	require.Equal(t, before, debug.SetMemoryLimit(-1), "the variable wins")
	process.LimitMemory(nil, func() (int64, bool) { return 0, false })
	require.Equal(t, before, debug.SetMemoryLimit(-1), "no limit, no change")
	process.LimitMemory(nil, func() (int64, bool) { return math.MaxInt32, true })
	require.EqualValues(t, math.MaxInt32/10*9, debug.SetMemoryLimit(-1))

	n, ok := process.ParseLimit("536870912\n")
	require.True(t, ok)
	require.EqualValues(t, 512<<20, n)
	_, ok = process.ParseLimit("max\n")
	require.False(t, ok)
}
