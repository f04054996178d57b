package fanout

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

// Config of a fan-out. The zero value works.
type Config struct {
	ID           string        `env:"FANOUT_ID"`                            // no two fan-outs may share one; made up if empty
	MaxInstances int           `env:"FANOUT_MAX_INSTANCES" envDefault:"64"` // 1 to 64
	DeadAfter    time.Duration `env:"FANOUT_DEAD_AFTER" envDefault:"10s"`   // an instance that is silent for so long is detached
	LagEvery     time.Duration `env:"FANOUT_LAG_INTERVAL" envDefault:"5s"`  // how often the log is asked how far ahead it is

	Logger     *slog.Logger          `env:"-"` // slog.Default if nil
	Registerer prometheus.Registerer `env:"-"` // no metrics if nil
}

// Validate says which variable has a value that makes no sense.
func (c Config) Validate() error {
	if c.MaxInstances < 0 || c.MaxInstances > MaxSlots {
		return fmt.Errorf("FANOUT_MAX_INSTANCES is %d, expected 1 to %d", c.MaxInstances, MaxSlots)
	}
	if c.DeadAfter < 0 || c.LagEvery < 0 {
		return fmt.Errorf("FANOUT_DEAD_AFTER is %s and FANOUT_LAG_INTERVAL is %s, expected durations above 0", c.DeadAfter, c.LagEvery)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.ID == "" {
		c.ID = "fanout-" + strconv.FormatUint(rand.Uint64()|1<<63, 36)
	}
	if c.MaxInstances <= 0 || c.MaxInstances > MaxSlots {
		c.MaxInstances = MaxSlots
	}
	if c.DeadAfter <= 0 {
		c.DeadAfter = link.DeadAfter
	}
	if c.LagEvery <= 0 {
		c.LagEvery = 5 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Log is what a fan-out needs of the log; [natslog.Log] has it.
type Log interface {
	Follow(ctx context.Context, stream string, filters []string, from uint64, ready func(last uint64), f func([]events.Event) error) error
	LastBefore(ctx context.Context, subjects []string, seq uint64) (map[string]uint64, error)
	LastSequence(ctx context.Context, stream string) (uint64, error)
	Epoch(ctx context.Context) (string, error)
	Bus() *natslog.Bus
}
