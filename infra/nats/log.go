package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/events"
)

// InProcess opens connections to a server in the same process, as
// embedded.Server does.
type InProcess interface {
	InProcessConn() (net.Conn, error)
}

// Config says where the log is. The zero value of all but URL (or InProcess)
// works.
type Config struct {
	URL         string `env:"NATS_URL" envDefault:"nats://127.0.0.1:4222"` // several, separated by commas
	Name        string `env:"NATS_CLIENT_NAME"`                            // of the connection, for people who look at the server
	User        string `env:"NATS_USER"`                                   // and its password; or Credentials
	Password    string `env:"NATS_PASSWORD"`
	Credentials string `env:"NATS_CREDENTIALS"`  // path of a .creds file (JWT and key)
	InboxPrefix string `env:"NATS_INBOX_PREFIX"` // of answers' subjects; _INBOX_<User> if there is a user, so that others may be kept from them
	CA          string `env:"NATS_CA"`           // path of a PEM file; the system's authorities if empty
	Cert        string `env:"NATS_CERT"`         // path of the client's certificate, where the server asks for one
	Key         string `env:"NATS_KEY"`

	DedupWindow    time.Duration `env:"DEDUP_WINDOW" envDefault:"2m"`         // never made shorter once the streams exist
	Replicas       int           `env:"NATS_REPLICAS" envDefault:"1"`         // of the streams, when this Open creates them
	Compress       bool          `env:"NATS_COMPRESS"`                        // S2 on disk, when this Open creates them
	Partitions     int           `env:"NATS_PARTITIONS" envDefault:"1"`       // of MESSAGES by channel, when this Open creates it; see Repartition
	MessagesBytes  int64         `env:"NATS_MESSAGES_BYTES"`                  // the most that MESSAGES may take on each node, as with all others when this Open creates them; 0: what the server has
	MetadataBytes  int64         `env:"NATS_METADATA_BYTES"`                  // METADATA
	DeadBytes      int64         `env:"NATS_DEADLETTERS_BYTES"`               // DEADLETTERS
	ConnectWait    time.Duration `env:"NATS_CONNECT_WAIT" envDefault:"1m"`    // how long Open tries
	AckWait        time.Duration `env:"NATS_PUBLISH_TIMEOUT" envDefault:"5s"` // for the acknowledgement of a publish
	RequestTimeout time.Duration `env:"NATS_REQUEST_TIMEOUT" envDefault:"5s"` // for any other answer of the server, where the caller sets no bound

	InProcess  InProcess             `env:"-"` // takes the place of URL
	Logger     *slog.Logger          `env:"-"` // slog.Default if nil
	Registerer prometheus.Registerer `env:"-"` // no metrics if nil
}

func (c Config) withDefaults() Config {
	if c.URL == "" {
		c.URL = nats.DefaultURL
	}
	if c.DedupWindow <= 0 {
		c.DedupWindow = 2 * time.Minute
	}
	if c.Replicas <= 0 {
		c.Replicas = 1
	}
	if c.Partitions <= 0 {
		c.Partitions = 1
	}
	if c.ConnectWait <= 0 {
		c.ConnectWait = time.Minute
	}
	if c.AckWait <= 0 {
		c.AckWait = 5 * time.Second
	}
	if c.RequestTimeout <= 0 {
		c.RequestTimeout = 5 * time.Second
	}
	if c.InboxPrefix == "" && c.User != "" {
		c.InboxPrefix = "_INBOX_" + events.Token(c.User)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Log is a connection to the log.
type Log struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	pub     *publisher
	log     *slog.Logger
	metrics *metrics
	window  time.Duration
	timeout time.Duration // of a request

	restored time.Time // zero if it was not

	archive Archive // nil if none is configured

	connects atomic.Uint64 // counts reconnects
	divided  atomic.Bool   // MESSAGES has, or had, partitions
	mu       sync.Mutex
	again    chan struct{} // closed by the next reconnect
	line     context.Context
	cut      context.CancelFunc // of line: the connection was lost
	marks    map[string]marks   // by stream
	passed   map[string]passed  // by stream and durable
}

// Open connects and ensures that the streams MESSAGES, METADATA, DEADLETTERS,
// CUTOFFS, VIEWS, ARCHIVED and SNAPSHOTS exist, which any number of processes may do
// at once. It tries for Config.ConnectWait. A stream of that name with other subjects,
// or with a transform that is not that of partitions, is an error of kind
// events.ErrConflict.
func Open(ctx context.Context, cfg Config) (*Log, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("open log at %s: %w", cfg.Where(), err)
	}
	l := &Log{log: cfg.Logger, metrics: newMetrics(cfg.Registerer), timeout: cfg.RequestTimeout, again: make(chan struct{}), marks: map[string]marks{}, passed: map[string]passed{}}
	l.line, l.cut = context.WithCancel(context.Background())
	if err := l.connect(ctx, cfg); err != nil {
		return nil, err
	}
	var err error
	if l.js, err = jetstream.New(l.nc); err == nil {
		if l.pub, err = newPublisher(l.nc, cfg.AckWait); err == nil {
			l.window, err = l.ensureStreams(ctx, cfg)
		}
		if err == nil {
			l.restored, err = l.whenRestored(ctx)
		}
	}
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("open log at %s: %w", cfg.Where(), translate(err))
	}
	return l, nil
}

// Where tells people where the log is, without the secrets that a URL may hold.
func (c Config) Where() string {
	if c.InProcess != nil {
		return "the server in this process"
	}
	all := strings.Split(c.URL, ",")
	for i, one := range all {
		one = strings.TrimSpace(one)
		if scheme, rest, ok := strings.Cut(one, "://"); ok {
			one = scheme + "://" + rest[strings.LastIndexByte(rest, '@')+1:]
		} else {
			one = one[strings.LastIndexByte(one, '@')+1:]
		}
		all[i] = one
	}
	return strings.Join(all, ",")
}

func (l *Log) connect(ctx context.Context, cfg Config) error {
	opts := []nats.Option{
		nats.Name(cfg.Name), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(100 * time.Millisecond), nats.ReconnectJitter(100*time.Millisecond, 100*time.Millisecond),
		nats.ReconnectBufSize(-1), // better an error at once than a publish that nobody waits for any more
		nats.PingInterval(20 * time.Second), nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(l.disconnected), nats.ReconnectHandler(l.reconnected), nats.ErrorHandler(l.asyncError),
	}
	opts = append(opts, cfg.security()...)
	if cfg.InProcess != nil {
		opts = append(opts, nats.InProcessServer(cfg.InProcess))
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnectWait)
	defer cancel()
	const firstWait = 50 * time.Millisecond
	for wait := firstWait; ; wait = min(2*wait, 2*time.Second) {
		nc, err := nats.Connect(cfg.URL, opts...)
		if err == nil {
			l.nc = nc
			return nil
		}
		if errors.Is(err, nats.ErrAuthorization) {
			return fmt.Errorf("open log at %s: %w", cfg.Where(), err)
		}
		if wait == firstWait {
			l.log.Warn("log: no connection yet, will try again", "server", cfg.Where(), "error", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("open log at %s: %w: %w", cfg.Where(), events.ErrUnavailable, err)
		case <-time.After(wait/2 + rand.N(wait)):
		}
	}
}

func (l *Log) disconnected(_ *nats.Conn, err error) {
	if err != nil {
		l.log.Warn("log: connection lost", "error", err)
	}
	l.mu.Lock()
	l.cut()
	l.line, l.cut = context.WithCancel(context.Background())
	l.mu.Unlock()
	if l.pub != nil {
		l.pub.fail(nats.ErrDisconnected)
	}
}

func (l *Log) reconnected(nc *nats.Conn) {
	l.log.Info("log: connected again", "server", nc.ConnectedServerName())
	l.connects.Add(1)
	l.mu.Lock()
	close(l.again)
	l.again = make(chan struct{})
	clear(l.passed) // the server may have been set back
	l.mu.Unlock()
}

func (l *Log) asyncError(_ *nats.Conn, sub *nats.Subscription, err error) {
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	l.log.Warn("log: connection error", "subject", subject, "error", err)
}

// reconnect is closed once the connection has been lost and is back.
func (l *Log) reconnect() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.again
}

// DedupWindow is for how long the log knows an event's id.
func (l *Log) DedupWindow() time.Duration { return l.window }

// Restored is when the log was restored from a backup, zero if it was not: it knows
// no id of an event from before.
func (l *Log) Restored() time.Time { return l.restored }

// Ping asks the server for a sign of life; events.ErrUnavailable if none comes
// until ctx ends, or within Config.RequestTimeout where ctx has no end.
func (l *Log) Ping(ctx context.Context) error {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	own, line, stop := l.whileConnected(ctx)
	defer stop()
	if !l.nc.IsConnected() {
		return fmt.Errorf("ping log: %w: %w", events.ErrUnavailable, nats.ErrDisconnected)
	}
	err := l.nc.FlushWithContext(own)
	if err != nil && line.Err() != nil && ctx.Err() == nil {
		err = nats.ErrDisconnected
	}
	if err != nil {
		return fmt.Errorf("ping log: %w", translate(err))
	}
	return nil
}

// Close sends what is under way (acknowledgements of deliveries, say) and ends
// the connection. Publishes that wait fail with events.ErrUnavailable.
func (l *Log) Close() error {
	if l.nc.IsConnected() {
		_ = l.nc.FlushTimeout(2 * time.Second) // a server that is gone takes nothing any more
	}
	l.nc.Close()
	if l.pub != nil {
		l.pub.close()
	}
	return nil
}

// whileConnected ends a request once the connection is lost, and line with it: the
// answer would have come by it.
func (l *Log) whileConnected(ctx context.Context) (own, line context.Context, stop func()) {
	l.mu.Lock()
	line = l.line
	l.mu.Unlock()
	own, cancel := context.WithCancel(ctx)
	unlink := context.AfterFunc(line, cancel)
	return own, line, func() { unlink(); cancel() }
}

// bounded ends a request whose caller set no deadline.
func (l *Log) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, l.timeout)
}
