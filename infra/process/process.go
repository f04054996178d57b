// Package process is the start-up and the end of every main.
//
// A main names itself and gives a function; [Main] gives that function what a
// process of the platform has: configuration from the environment, a logger,
// metrics, tracing, health, a listener, and a context that ends with the first
// SIGINT or SIGTERM. What the process cannot do without is waited for ([Await]).
// The function returns when it has drained. The process then
// exits with 0, or with 1 and one line that says what was wrong. A second
// signal ends it at once, with 128 and the signal's number.
//
//	LISTEN_ADDRESS  address to listen on; empty, the default, is every interface
//	PORT            TCP port, 8080 by default; 0 takes any free one
//	DRAIN_DELAY     how long to go on serving, not ready any more, after a signal; 0 by default
//	DRAIN_TIMEOUT   how long requests may then take to end, 10s by default
//	LOG_FORMAT, LOG_LEVEL, OTEL_…   as package observability says
//	GOMEMLIMIT      the Go runtime's; unset, 90 % of the container's limit
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/infra/observability"
)

// Process is what a main's function works with.
type Process struct {
	Name     string
	Args     []string // after the program's name
	Stdout   io.Writer
	Stderr   io.Writer
	Log      *slog.Logger // also slog's default
	Registry *prometheus.Registry

	environ  map[string]string
	settings settings
	health   health
	listener net.Listener // the last that Listen has opened
	front    *front       // once the process listens
}

type settings struct {
	Address      string        `env:"LISTEN_ADDRESS"`
	Port         uint16        `env:"PORT" envDefault:"8080"`
	DrainDelay   time.Duration `env:"DRAIN_DELAY" envDefault:"0s"`
	DrainTimeout time.Duration `env:"DRAIN_TIMEOUT" envDefault:"10s"`
	Log          observability.LogConfig
	Trace        observability.TraceConfig
}

// World is what a process is given from outside, so that a test can give it.
type World struct {
	Args           []string // without the program's name
	Environ        []string // "NAME=value"
	Stdout, Stderr io.Writer
	Signals        <-chan os.Signal
}

// Main runs f as the process and does not return.
func Main(name string, f func(context.Context, *Process) error) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	os.Exit(Run(name, World{
		Args: os.Args[1:], Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals,
	}, f))
}

// Run runs f as the process name in the given world and returns the exit code.
// It installs the logger and the tracing for the whole program, so one at a
// time is the rule.
func Run(name string, w World, f func(context.Context, *Process) error) int {
	p := &Process{Name: name, Args: w.Args, Stdout: w.Stdout, Stderr: w.Stderr, environ: environ(w.Environ)}
	if err := p.Config(&p.settings); err != nil {
		return p.fail(err)
	}
	p.Log = observability.NewLogger(w.Stderr, p.settings.Log).With("process", name)
	slog.SetDefault(p.Log)
	p.Registry = observability.NewRegistry(name)
	limitMemory(p.environ, cgroupLimit)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tracing, err := observability.NewTracing(ctx, name, p.settings.Trace)
	if err != nil {
		return p.fail(err)
	}
	tracing.Install(p.Log)

	done := make(chan error, 1)
	go func() {
		err := p.guard(ctx, f)
		p.closeEarly()
		flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if e := tracing.Shutdown(flush); e != nil {
			p.Log.Warn("traces are lost", "error", e)
		}
		done <- err
	}()
	for first := true; ; first = false {
		select {
		case err := <-done:
			if err != nil && !errors.Is(err, context.Canceled) {
				return p.fail(err)
			}
			return 0
		case s := <-w.Signals:
			if !first {
				p.Log.Warn("killed while draining", "signal", s.String())
				return 128 + number(s)
			}
			p.Log.Info("draining", "signal", s.String())
			cancel()
		}
	}
}

// guard turns a panic of f into an error, so that traces are flushed and the
// exit code is ours.
func (p *Process) guard(ctx context.Context, f func(context.Context, *Process) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, stack())
		}
	}()
	return f(ctx, p)
}

// fail says in one line what ended the process: through the log where it is
// JSON, for people otherwise.
func (p *Process) fail(err error) int {
	if p.Log != nil && p.settings.Log.Format == observability.JSON {
		p.Log.Error("exit", "error", err)
	} else {
		fmt.Fprintf(p.Stderr, "%s: %v\n", p.Name, err)
	}
	return 1
}

func number(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return int(n)
	}
	return 0
}
