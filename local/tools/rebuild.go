package tools

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/embedded"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/stores/segments"
	"github.com/chat-platform/chat/local/datadir"
	"github.com/chat-platform/chat/local/rebuild"
	"github.com/chat-platform/chat/local/views"
)

// rebuildConfig says where the log and the views are.
type rebuildConfig struct {
	DataDir  string `env:"DATA_DIR" envDefault:"data"`
	Log      natslog.Config
	Views    views.Config
	Segments segments.Config // the log's archive
}

// Rebuild rebuilds views: by the platform that runs on DATA_DIR, on a log
// elsewhere, or on the log of a platform that does not run.
func Rebuild(ctx context.Context, p *process.Process) error {
	var cfg rebuildConfig
	cfg.Log.ConnectWait = 5 * time.Second // people wait
	if err := p.Config(&cfg); err != nil {
		return err
	}
	name := "all"
	if len(p.Args) > 1 && !strings.HasPrefix(p.Args[1], "-") {
		name = p.Args[1]
		p.Args = append(p.Args[:1:1], p.Args[2:]...)
	}
	url := ""
	fs := flag.NewFlagSet("rebuild", flag.ContinueOnError)
	fs.Usage = func() {}
	fs.StringVar(&cfg.DataDir, "data", cfg.DataDir, "data folder of the platform, running or not")
	fs.StringVar(&url, "nats", "", "a log to work on directly, like nats://127.0.0.1:4222 (NATS_…), and STORE_… say which stores hold the views")
	if help, err := parse(p, fs); help || err != nil {
		if help {
			fmt.Fprintln(p.Stdout, "  chat rebuild [messages|metadata|search|all]: all by default")
		}
		return err
	}
	vs, err := views.Named(name)
	if err != nil {
		return err
	}
	cfg.Views = cfg.Views.In(cfg.DataDir)
	printer := rebuild.NewPrinter(p.Stdout)
	err = cfg.run(ctx, p, name, vs, url, printer)
	printer.End()
	if err != nil && ctx.Err() != nil {
		return events.NewFault(events.ErrUnavailable, "interrupted", "", "interrupted; the same command goes on with the rebuild")
	}
	return err
}

func (cfg rebuildConfig) run(ctx context.Context, p *process.Process, name string, vs []views.View, url string, printer *rebuild.Printer) error {
	if url == "" {
		err := rebuild.Remote(ctx, cfg.DataDir, name, printer.Print)
		if !errors.Is(err, rebuild.ErrNoPlatform) {
			return err
		}
		url = p.Environ()["NATS_URL"]
	}
	quiet := slog.New(slog.DiscardHandler) // the command itself says what it does
	cfg.Log.Name, cfg.Log.Logger = p.Name+" rebuild", quiet
	r := &rebuild.Rebuilder{Views: cfg.Views, Host: stores.Host{Name: p.Name + " rebuild", Log: quiet}, Report: printer.Print, Logger: quiet}
	if url != "" {
		cfg.Log.URL = url
	} else {
		server, err := serve("rebuild", cfg.DataDir)
		if err != nil {
			return err
		}
		defer server.Shutdown()
		cfg.Log.InProcess, r.Alone = server, true
	}
	log, err := natslog.Open(ctx, cfg.Log)
	if err != nil {
		return err
	}
	defer log.Close() // nothing is left to send
	if _, err := segments.Open(ctx, cfg.Segments, log); err != nil {
		return err
	}
	r.Log = log
	_, err = r.Run(ctx, vs)
	return err
}

// serve starts the log of a platform that does not run.
func serve(command, dataDir string) (*embedded.Server, error) {
	folder := filepath.Join(dataDir, datadir.Log)
	if _, err := os.Stat(folder); err != nil {
		return nil, fmt.Errorf("%s: %s holds no log: %w", command, dataDir, err)
	}
	server, err := embedded.Start(embedded.Config{Dir: folder})
	if err != nil {
		return nil, fmt.Errorf("%s (is the platform still running?): %w", command, err)
	}
	return server, nil
}
