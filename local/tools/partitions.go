package tools

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/process"
)

// Partitions shows how MESSAGES is divided by channel, and divides it otherwise:
// on any log, while it is used, or on that of a platform that does not run.
func Partitions(ctx context.Context, p *process.Process) error {
	var cfg struct {
		DataDir string `env:"DATA_DIR" envDefault:"data"`
		Log     natslog.Config
	}
	cfg.Log.ConnectWait = 5 * time.Second // people wait
	if err := p.Config(&cfg); err != nil {
		return err
	}
	n := 0
	if len(p.Args) > 1 && !strings.HasPrefix(p.Args[1], "-") {
		var err error
		if n, err = strconv.Atoi(p.Args[1]); err != nil || n < 1 || n > natslog.PartitionsMost {
			return events.Invalid("invalid_partitions", "", "%q is no number of partitions, expected 1 to %d", p.Args[1], natslog.PartitionsMost)
		}
		p.Args = append(p.Args[:1:1], p.Args[2:]...)
	}
	url := p.Environ()["NATS_URL"]
	fs := flag.NewFlagSet("partitions", flag.ContinueOnError)
	fs.StringVar(&cfg.DataDir, "data", cfg.DataDir, "data folder of a platform that does not run")
	fs.StringVar(&url, "nats", url, "a log instead, like nats://127.0.0.1:4222 (NATS_…)")
	if help, err := parse(p, fs); help || err != nil {
		if help {
			fmt.Fprintln(p.Stdout, "  chat partitions [N]: shows, or has new messages go to N; what is stored stays where it is")
		}
		return err
	}
	cfg.Log.Name, cfg.Log.Logger = p.Name+" partitions", slog.New(slog.DiscardHandler)
	if cfg.Log.URL = url; url == "" {
		server, err := serve("partitions", cfg.DataDir)
		if err != nil {
			return err
		}
		defer server.Shutdown()
		cfg.Log.InProcess = server
	}
	log, err := natslog.Open(ctx, cfg.Log)
	if err != nil {
		return err
	}
	defer log.Close() // nothing is left to send
	if n > 0 {
		if err := log.Repartition(ctx, n); err != nil {
			return err
		}
	}
	parts, err := log.Partitions(ctx)
	if err == nil {
		fmt.Fprintf(p.Stdout, "%s: new messages go to %d, %d at most so far\n", events.StreamMessages, parts.Now, max(parts.Most, 1))
	}
	return err
}
