// Package full runs the platform on all real servers: it starts them in
// containers by compose.yaml, waits until the platform's own adapters reach each
// of them, and then runs the platform in this process.
//
// The servers outlive it, with their data, so that the next start is quick; they
// are stopped, and removed, on request. They listen on the loopback address only
// and ask for no password.
package full

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/keycloak/realm"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/local/platform"
)

const usage = `usage: chat full [COMMAND]

  (none)    start the servers and run the platform on them, until Ctrl-C; the servers go on
  up        start the servers, and print the platform's environment: eval "$(chat full up)"
  stop      stop the servers, keep their data
  clean     remove the servers and their data

FULL_PROJECT names the set of containers and volumes, FULL_…_PORT their ports on
127.0.0.1, …_IMAGE their images, FULL_WAIT how long to wait for them. People log in
at Keycloak, in the development realm, which is imported once.
`

// Config of the servers. The platform's settings are its own.
type Config struct {
	Project string        `env:"FULL_PROJECT" envDefault:"chat-full"`
	DataDir string        `env:"DATA_DIR" envDefault:"data/full"` // of the platform: what is not on the servers
	Wait    time.Duration `env:"FULL_WAIT" envDefault:"10m"`      // for all servers to be ready

	NATS          uint16 `env:"FULL_NATS_PORT" envDefault:"4222"`
	Cassandra     uint16 `env:"FULL_CASSANDRA_PORT" envDefault:"9042"`
	MongoDB       uint16 `env:"FULL_MONGODB_PORT" envDefault:"27017"`
	Elasticsearch uint16 `env:"FULL_ELASTICSEARCH_PORT" envDefault:"9200"`
	Redis         uint16 `env:"FULL_REDIS_PORT" envDefault:"6379"`
	Keycloak      uint16 `env:"FULL_KEYCLOAK_PORT" envDefault:"8081"`

	Realm realm.Config
}

// Run is the command.
func Run(ctx context.Context, p *process.Process) error {
	command := strings.Join(p.Args[min(1, len(p.Args)):], " ")
	var cfg Config
	if err := p.Config(&cfg); err != nil {
		return err
	}
	cfg.Realm.Development = true // everything is on this machine
	switch command {
	case "":
		return run(ctx, cfg, p)
	case "up":
		if err := up(ctx, cfg, p, p.Stderr); err != nil {
			return err
		}
		for _, v := range cfg.environ() {
			fmt.Fprintf(p.Stdout, "export %s='%s'\n", v.name, v.value)
		}
		return nil
	case "stop", "clean":
		c, err := findCompose(ctx, cfg, p.Environ())
		if err != nil {
			return err
		}
		if command == "stop" {
			return c.run(ctx, "stop")
		}
		return errors.Join(c.run(ctx, "down", "--volumes", "--remove-orphans"), cfg.forgetImport())
	case "-h", "--help", "help":
		fmt.Fprint(p.Stdout, usage)
		return nil
	}
	return events.Invalid("unknown_argument", "", "full takes no argument %q; %s full -h names the commands", command, p.Name)
}

func run(ctx context.Context, cfg Config, p *process.Process) error {
	if err := up(ctx, cfg, p, p.Stdout); err != nil {
		return err
	}
	fmt.Fprintf(p.Stdout, "Log in as alice, bob or carol, password %s; more people at http://localhost:%d (admin, admin).\n", cmp.Or(cfg.Realm.DemoPassword, "chat"), cfg.Keycloak)
	if err := platform.Run(ctx, p); err != nil {
		return err
	}
	fmt.Fprintf(p.Stdout, "\nThe servers go on, for the next start: %s full stop stops them, %s full clean removes them with their data.\n", p.Name, p.Name)
	return nil
}

// up starts what does not run yet and returns once everything is ready. From
// then on the process has the environment of a platform on these servers.
func up(ctx context.Context, cfg Config, p *process.Process, out io.Writer) error {
	begin := time.Now()
	c, err := findCompose(ctx, cfg, p.Environ())
	if err != nil {
		return err
	}
	for _, v := range cfg.environ() {
		p.Setenv(v.name, v.value)
	}
	all, err := servers(cfg, p)
	if err != nil {
		return err
	}
	if err := cfg.writeRealm(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThe servers, by %s:\n", c)
	if err := c.start(ctx, all, out); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.Wait, fmt.Errorf("not within %s (FULL_WAIT)", cfg.Wait))
	defer cancel()
	if err := c.await(ctx, all, begin, out); err != nil {
		return err
	}
	fmt.Fprintf(out, "All are ready after %.0f s.\n", time.Since(begin).Seconds())
	changed, err := cfg.noteImport()
	if changed {
		fmt.Fprintf(out, "The realm has changed since Keycloak imported it. It stays as it was until %s full clean, which removes the data of all servers, or change it at Keycloak.\n", p.Name)
	}
	return err
}
