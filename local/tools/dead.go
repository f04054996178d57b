package tools

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"time"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/local/deadletters"
	"github.com/chat-platform/chat/longrunning/source"
)

const deadUsage = `usage: chat dead list|show|redrive|discard [flags]

  list      events that a consumer's sink refused for good, oldest first
  show      one of them: reason, trace, content
  redrive   hand it to the sink that refused it once more; it goes if that takes it
  discard   delete it for ever

chat dead COMMAND -h names the flags.
`

// sink is where letters are redriven to without a platform: what
// longrunning/source reads from its environment counts here too.
type sink struct {
	URL       string      `env:"-"`
	Mode      source.Mode `env:"-"`
	Overrides string      `env:"K_CE_OVERRIDES"`
	CACerts   string      `env:"K_CA_CERTS"`
}

// Dead lists, shows, redrives and discards dead letters, of the platform that
// runs on DATA_DIR or of any log.
func Dead(ctx context.Context, p *process.Process) error {
	var cfg struct {
		DataDir string `env:"DATA_DIR" envDefault:"data"`
		Log     natslog.Config
		Sink    sink
	}
	cfg.Log.ConnectWait = 5 * time.Second // people wait
	if err := p.Config(&cfg); err != nil {
		return err
	}
	if len(p.Args) > 0 {
		p.Args = p.Args[1:] // dead itself
	}
	c, url := deadletters.Command{}, ""
	if len(p.Args) > 0 {
		c.Verb = p.Args[0]
	}
	fs := flag.NewFlagSet("dead "+c.Verb, flag.ContinueOnError)
	fs.StringVar(&cfg.DataDir, "data", cfg.DataDir, "data folder of the running platform")
	fs.StringVar(&url, "nats", "", "a log to work on directly instead, like nats://127.0.0.1:4222 (NATS_CREDENTIALS)")
	fs.BoolVar(&c.JSON, "json", false, "one JSON object a line, for programs")
	many := func() {
		fs.StringVar(&c.Consumer, "consumer", "", "only those of one consumer")
		fs.Uint64Var(&c.After, "after", 0, "only those above a number")
	}
	one := func() { fs.Uint64Var(&c.Seq, "seq", 0, "the letter's number, the first column of list") }
	some := func() {
		one()
		many()
		fs.BoolVar(&c.All, "all", false, "every one of them")
		fs.IntVar(&c.Limit, "limit", 0, "of -all, so many at most; 0: all")
	}
	switch c.Verb {
	case deadletters.List:
		many()
		fs.IntVar(&c.Limit, "limit", 0, "so many at most; 0: 100")
	case deadletters.Show:
		one()
	case deadletters.Redrive:
		some()
		fs.StringVar(&cfg.Sink.URL, "sink", "", "with -nats and -consumer: the consumer's sink (K_CE_OVERRIDES, K_CA_CERTS)")
		fs.StringVar((*string)(&cfg.Sink.Mode), "mode", string(source.Batch), "with -sink: batch or single")
	case deadletters.Discard:
		some()
	case "help", "-h", "-help", "--help":
		fmt.Fprint(p.Stdout, deadUsage)
		return nil
	default:
		return events.Invalid("unknown_command", "", "dead needs one of list, show, redrive, discard; got %q; chat dead -h explains", c.Verb)
	}
	if help, err := parse(p, fs); help || err != nil {
		return err
	}
	if err := c.Validate(); err != nil {
		return err
	}
	if (cfg.Sink.URL != "") != (url != "" && c.Verb == deadletters.Redrive) || cfg.Sink.URL != "" && c.Consumer == "" {
		return events.Invalid("missing_flag", "", "to redrive on a log directly needs all of -nats, -consumer and -sink")
	}
	if url == "" {
		platform, err := deadletters.OfPlatform(cfg.DataDir)
		if err != nil {
			return err
		}
		return deadletters.Run(ctx, platform, c, p.Stdout)
	}
	cfg.Log.URL, cfg.Log.Name, cfg.Log.Logger = url, p.Name, slog.New(slog.DiscardHandler) // the command itself says what it did
	log, err := natslog.Open(ctx, cfg.Log)
	if err != nil {
		return err
	}
	defer log.Close() // nothing is left to send
	return deadletters.Run(ctx, deadletters.NewDirect(log, cfg.Sink.of(log, c.Consumer, cfg.Log.Logger), cfg.Log.Logger), c, p.Stdout)
}

// of redrives the letters of one consumer, of whichever stream.
func (s sink) of(log *natslog.Log, consumer string, logger *slog.Logger) func(natslog.DeadLetter) (deadletters.Redriver, error) {
	byStream := map[string]*source.Source{}
	return func(l natslog.DeadLetter) (deadletters.Redriver, error) {
		if l.Stream == "" {
			return nil, events.Invalid("stream_unknown", "", "it does not say in which stream the event lies")
		}
		if one, ok := byStream[l.Stream]; ok {
			return one, nil
		}
		one, err := source.New(log, source.Config{Stream: l.Stream, Consumer: consumer, Sink: s.URL, Mode: s.Mode, Overrides: s.Overrides, CACerts: s.CACerts},
			source.Options{Logger: logger})
		if err != nil {
			return nil, err
		}
		byStream[l.Stream] = one
		return one, nil
	}
}
