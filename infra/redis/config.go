package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Config says where Redis is.
type Config struct {
	URL      string        `env:"REDIS_URL"`                          // redis://user:password@host:6379/0, or rediss:// for TLS; never logged
	Timeout  time.Duration `env:"REDIS_TIMEOUT" envDefault:"50ms"`    // of one call, connecting included
	PoolSize int           `env:"REDIS_POOL_SIZE" envDefault:"32"`    // connections; calls beyond wait for one
	MinIdle  int           `env:"REDIS_MIN_IDLE" envDefault:"0"`      // connections that are kept though nobody uses them
	MaxIdle  time.Duration `env:"REDIS_IDLE_TIMEOUT" envDefault:"5m"` // until a connection that nobody uses is closed
	Prefix   string        `env:"REDIS_PREFIX" envDefault:"chat:"`    // of all keys
	CA       string        `env:"REDIS_TLS_CA"`                       // file of the certificates that sign the server's; the system's if empty
	Cert     string        `env:"REDIS_TLS_CERT"`                     // file of the client's certificate, if the server wants one
	Key      string        `env:"REDIS_TLS_KEY"`                      // file of its key

	Name       string                `env:"-"` // of the connections, for people who look at the server
	Logger     *slog.Logger          `env:"-"` // slog's default if nil
	Registerer prometheus.Registerer `env:"-"` // no metrics if nil
}

func (c Config) withDefaults() Config {
	if c.Timeout <= 0 {
		c.Timeout = 50 * time.Millisecond
	}
	if c.PoolSize <= 0 {
		c.PoolSize = 32
	}
	if c.MaxIdle <= 0 {
		c.MaxIdle = 5 * time.Minute
	}
	if c.Prefix == "" {
		c.Prefix = "chat:"
	}
	if c.Name == "" {
		c.Name = "chat"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c Config) options() (*redis.Options, error) {
	o, err := redis.ParseURL(c.URL)
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", withoutSecret(err))
	}
	o.ClientName = c.Name
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = c.Timeout, c.Timeout, c.Timeout, c.Timeout
	o.ContextTimeoutEnabled = true
	o.MaxRetries, o.DialerRetries = -1, 1 // the buckets of the process are the second try
	o.PoolSize, o.MinIdleConns, o.ConnMaxIdleTime = c.PoolSize, c.MinIdle, c.MaxIdle
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if o.TLSConfig == nil {
		if c.CA != "" || c.Cert != "" || c.Key != "" {
			return nil, errors.New("REDIS_TLS_… is set, but REDIS_URL does not begin with rediss://")
		}
		return o, nil
	}
	return o, c.secure(o.TLSConfig)
}

func (c Config) secure(t *tls.Config) error {
	t.MinVersion = tls.VersionTLS12
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return fmt.Errorf("REDIS_TLS_CA: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("REDIS_TLS_CA: no certificate in %s", c.CA)
		}
	}
	if c.Cert != "" || c.Key != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return fmt.Errorf("REDIS_TLS_CERT, REDIS_TLS_KEY: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// withoutSecret drops the URL, password and all, from what net/url says of it.
func withoutSecret(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return errors.New("expected a URL like redis://host:6379")
	}
	return err
}
