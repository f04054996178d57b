// Package tools gives the tools around the platform their flags: rebuild,
// replay, load, invoke, dead letters, partitions and the realm. Each function is a command of the chat binary; it
// ends with an error where the tool found something wrong.
package tools

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/local/corpus"
	"github.com/chat-platform/chat/local/invoke"
	"github.com/chat-platform/chat/local/load"
	"github.com/chat-platform/chat/local/replay"
)

const defaultURL = "http://localhost:8080"

// parse reads a command's flags. Asking for help is no failure; what is wrong is
// said in one line.
func parse(p *process.Process, fs *flag.FlagSet) (help bool, err error) {
	fs.SetOutput(io.Discard)
	args := p.Args
	if len(args) > 0 {
		args = args[1:] // the command itself
	}
	err = fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(p.Stdout, "usage: %s %s [flags]\n", p.Name, fs.Name())
		fs.SetOutput(p.Stdout)
		fs.PrintDefaults()
		return true, nil
	case err != nil:
		return false, events.Invalid("invalid_flag", "", "%v; %s %s -h names the flags", err, p.Name, fs.Name())
	case fs.NArg() > 0:
		return false, events.Invalid("unknown_argument", "", "%s takes no argument %q; %s %s -h names the flags", fs.Name(), fs.Arg(0), p.Name, fs.Name())
	}
	return false, nil
}

// login is how the tools log in. The development issuer asks for no password;
// the development realm of Keycloak has this one for everybody.
type login struct {
	Password string `env:"CHAT_DEMO_PASSWORD" envDefault:"chat"`
}

// Replay sends a corpus and verifies it.
func Replay(ctx context.Context, p *process.Process) error {
	fs := flag.NewFlagSet("replay", flag.ContinueOnError)
	url := fs.String("url", defaultURL, "the running platform")
	path := fs.String("corpus", "", "JSON Lines, plain or .xz; without it the excerpt inside the binary")
	batch := fs.Int("batch", replay.MaxBatch, "messages a request")
	if help, err := parse(p, fs); help || err != nil {
		return err
	}
	var who login
	if err := p.Config(&who); err != nil {
		return err
	}
	c, err := corpus.Open(*path)
	if err != nil {
		return err
	}
	r, err := replay.New(*url, who.Password, c, p.Stdout)
	if err != nil {
		return err
	}
	r.Batch = *batch
	_, err = r.Run(ctx)
	return err
}

// Load sends at a steady rate and measures.
func Load(ctx context.Context, p *process.Process) error {
	var cfg load.Config
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	fs.StringVar(&cfg.URL, "url", defaultURL, "the running platform, on a loopback address")
	fs.IntVar(&cfg.Rate, "rate", 1000, "messages a second")
	fs.DurationVar(&cfg.For, "for", 20*time.Second, "how long to measure")
	fs.DurationVar(&cfg.Warmup, "warmup", 3*time.Second, "how long to send before")
	fs.IntVar(&cfg.Channels, "channels", 10, "channels that the messages go round")
	fs.IntVar(&cfg.Listeners, "listeners", 2, "WebSocket clients in every channel")
	fs.IntVar(&cfg.InFlight, "in-flight", 256, "requests at once")
	if help, err := parse(p, fs); help || err != nil {
		return err
	}
	var who login
	if err := p.Config(&who); err != nil {
		return err
	}
	cfg.Password = who.Password
	r, err := load.Run(ctx, cfg, p.Stdout)
	if err == nil && (r.Failed > 0 || r.Missing > 0) {
		err = fmt.Errorf("%d sends failed, %d deliveries are missing", r.Failed, r.Missing)
	}
	return err
}

// Invoke posts a fixture to one function.
func Invoke(ctx context.Context, p *process.Process) error {
	var cfg invoke.Config
	fs := flag.NewFlagSet("invoke", flag.ContinueOnError)
	fs.StringVar(&cfg.Root, "root", ".", "the repository")
	fs.StringVar(&cfg.Function, "function", "", "name of a function")
	fs.StringVar(&cfg.Event, "event", "ok", "a fixture in its testdata, without .json")
	fs.StringVar(&cfg.Mode, "mode", "structured", "structured, binary or batch")
	fs.StringVar(&cfg.As, "as", "", "user of the token, instead of the fixture's authid")
	fs.BoolVar(&cfg.Serve, "serve", false, "keep the function until Ctrl-C, behind a proxy that adds the token")
	if help, err := parse(p, fs); help || err != nil {
		return err
	}
	return invoke.Run(ctx, cfg, p.Stdout, p.Stderr)
}
