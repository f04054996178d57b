package notification

import (
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is how an instance behaves. The zero value gives the defaults that the
// tags state.
type Config struct {
	Instance string   `env:"NOTIFICATION_INSTANCE"`                 // unique among running instances; random if empty
	Origins  []string `env:"NOTIFICATION_ORIGINS" envSeparator:","` // browsers' origins that may connect besides the host's own; "*" allows all

	HeartbeatInterval time.Duration `env:"NOTIFICATION_HEARTBEAT_INTERVAL" envDefault:"25s"` // how often a client is to send a heartbeat
	HeartbeatTimeout  time.Duration `env:"NOTIFICATION_HEARTBEAT_TIMEOUT" envDefault:"10s"`  // how late it may be
	IdentifyTimeout   time.Duration `env:"NOTIFICATION_IDENTIFY_TIMEOUT" envDefault:"10s"`   // from hello to identify or resume
	WriteTimeout      time.Duration `env:"NOTIFICATION_WRITE_TIMEOUT" envDefault:"10s"`      // a write that takes longer ends the connection
	CloseTimeout      time.Duration `env:"NOTIFICATION_CLOSE_TIMEOUT" envDefault:"5s"`       // for the client's answer to a close frame
	StartTimeout      time.Duration `env:"NOTIFICATION_START_TIMEOUT" envDefault:"60s"`      // from identify or resume to live, replay included
	DrainSpread       time.Duration `env:"NOTIFICATION_DRAIN_SPREAD" envDefault:"5s"`        // over which a drain closes the sockets

	MaxMessageBytes int `env:"NOTIFICATION_MAX_MESSAGE_BYTES" envDefault:"65536"` // of a client's message; more closes with 1009
	QueueEvents     int `env:"NOTIFICATION_QUEUE_EVENTS" envDefault:"4096"`       // that may wait for one socket
	QueueBytes      int `env:"NOTIFICATION_QUEUE_BYTES" envDefault:"4194304"`     // that may wait for one socket
	Starts          int `env:"NOTIFICATION_STARTS" envDefault:"64"`               // sessions that read the log at the same time

	ReplayPerChannel int `env:"NOTIFICATION_REPLAY_PER_CHANNEL" envDefault:"200"` // messages replayed a channel; more is `limited`
	ReplayEvents     int `env:"NOTIFICATION_REPLAY_EVENTS" envDefault:"10000"`    // events replayed in all; more is `limited_all`
	ReplayScan       int `env:"NOTIFICATION_REPLAY_SCAN" envDefault:"500000"`     // events read from the log for one resume
	GapEvents        int `env:"NOTIFICATION_GAP_EVENTS" envDefault:"100000"`      // read from the log after a lost link; more closes the sockets with 4005

	SnapshotAfter int `env:"NOTIFICATION_SNAPSHOT_AFTER" envDefault:"250"` // events of a user's memberships: where there are more a snapshot is looked for, and written where it lacks more

	CutOffs    CutOffs               `env:"-"` // nobody is cut off if nil
	Logger     *slog.Logger          `env:"-"` // slog.Default if nil
	Registerer prometheus.Registerer `env:"-"` // no metrics if nil
}

func orDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

func (c Config) withDefaults() Config {
	if c.Instance == "" {
		var b [6]byte
		_, _ = rand.Read(b[:]) // never fails, says its documentation
		c.Instance = "n-" + hex.EncodeToString(b[:])
	}
	orDefault(&c.HeartbeatInterval, 25*time.Second)
	orDefault(&c.HeartbeatTimeout, 10*time.Second)
	orDefault(&c.IdentifyTimeout, 10*time.Second)
	orDefault(&c.WriteTimeout, 10*time.Second)
	orDefault(&c.CloseTimeout, 5*time.Second)
	orDefault(&c.StartTimeout, time.Minute)
	orDefault(&c.DrainSpread, 5*time.Second)
	orDefault(&c.MaxMessageBytes, 64<<10)
	orDefault(&c.QueueEvents, 4096)
	orDefault(&c.QueueBytes, 4<<20)
	orDefault(&c.Starts, 64)
	orDefault(&c.ReplayPerChannel, 200)
	orDefault(&c.ReplayEvents, 10_000)
	orDefault(&c.ReplayScan, 500_000)
	orDefault(&c.GapEvents, 100_000)
	orDefault(&c.SnapshotAfter, 250)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}
