package cassandra

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// Config says where the cluster is. The zero value of everything works for a
// single node on this machine.
type Config struct {
	Hosts       []string `env:"CASSANDRA_URL" envDefault:"127.0.0.1:9042"` // host:port of some nodes; all have the first one's port
	Keyspace    string   `env:"CASSANDRA_KEYSPACE" envDefault:"chat"`      // made if missing
	Datacenter  string   `env:"CASSANDRA_DATACENTER"`                      // the local one; needed where there are several
	Replicas    int      `env:"CASSANDRA_REPLICAS" envDefault:"1"`         // of a keyspace that Open makes, in each data center or only in Datacenter
	Consistency string   `env:"CASSANDRA_CONSISTENCY" envDefault:"LOCAL_QUORUM"`

	Username string `env:"CASSANDRA_USERNAME"`
	Password string `env:"CASSANDRA_PASSWORD"`
	CA       string `env:"CASSANDRA_CA"`   // path of a PEM file; turns TLS on
	Cert     string `env:"CASSANDRA_CERT"` // path of the client's certificate, if it needs one
	Key      string `env:"CASSANDRA_KEY"`

	Timeout     time.Duration `env:"CASSANDRA_TIMEOUT" envDefault:"6s"`           // of one request
	ConnectWait time.Duration `env:"CASSANDRA_CONNECT_WAIT" envDefault:"30s"`     // how long Open tries
	Speculate   time.Duration `env:"CASSANDRA_SPECULATE_AFTER" envDefault:"50ms"` // a read goes to a second node; negative: never
	Connections int           `env:"CASSANDRA_CONNECTIONS" envDefault:"4"`        // to each node
	InFlight    int           `env:"CASSANDRA_IN_FLIGHT" envDefault:"256"`        // requests of all callers together

	Generation int                   `env:"-"` // of the view: its tables' names end with it, from 2 on
	Logger     *slog.Logger          `env:"-"` // slog.Default if nil
	Registerer prometheus.Registerer `env:"-"` // no metrics if nil
}

func (c Config) withDefaults() Config {
	if len(c.Hosts) == 0 {
		c.Hosts = []string{"127.0.0.1:9042"}
	}
	if c.Keyspace == "" {
		c.Keyspace = "chat"
	}
	if c.Consistency == "" {
		c.Consistency = "LOCAL_QUORUM"
	}
	orDefault(&c.Replicas, 1)
	orDefault(&c.Connections, 4)
	orDefault(&c.InFlight, 256)
	orDefault(&c.Timeout, 6*time.Second)
	orDefault(&c.ConnectWait, 30*time.Second)
	if c.Speculate == 0 {
		c.Speculate = 50 * time.Millisecond
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func orDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

var (
	keyspaceName   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,47}$`)
	datacenterName = regexp.MustCompile(`^[A-Za-z0-9_.-]*$`)
)

// Validate names what is wrong by its variable.
func (c Config) Validate() error {
	c = c.withDefaults()
	if !keyspaceName.MatchString(c.Keyspace) {
		return fmt.Errorf("CASSANDRA_KEYSPACE is %q, expected up to 48 lower-case letters, digits and underscores", c.Keyspace)
	}
	if !datacenterName.MatchString(c.Datacenter) {
		return fmt.Errorf("CASSANDRA_DATACENTER is %q, expected letters, digits and ._-", c.Datacenter)
	}
	if _, err := c.level(); err != nil {
		return err
	}
	if (c.Cert == "") != (c.Key == "") {
		return errors.New("CASSANDRA_CERT and CASSANDRA_KEY belong together")
	}
	_, _, err := c.hosts()
	return err
}

func (c Config) level() (gocql.Consistency, error) {
	var level gocql.Consistency
	if err := level.UnmarshalText([]byte(strings.ToUpper(c.Consistency))); err != nil || level == gocql.Any || level == gocql.Serial || level == gocql.LocalSerial {
		return 0, fmt.Errorf("CASSANDRA_CONSISTENCY is %q, expected ONE, LOCAL_ONE, TWO, THREE, LOCAL_QUORUM, QUORUM, EACH_QUORUM or ALL", c.Consistency)
	}
	return level, nil
}

func (c Config) hosts() (hosts []string, port int, err error) {
	for i, h := range c.Hosts {
		host, p, err := net.SplitHostPort(h)
		if err != nil {
			host, p = h, "9042"
		}
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || host == "" || strings.Contains(host, "/") {
			return nil, 0, fmt.Errorf("CASSANDRA_URL has %q, expected host:port", h)
		}
		if i == 0 {
			port = int(n)
		}
		hosts = append(hosts, net.JoinHostPort(host, p))
	}
	return hosts, port, nil
}

func (c Config) cluster() (*gocql.ClusterConfig, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	hosts, port, _ := c.hosts()
	level, _ := c.level()
	g := gocql.NewCluster(hosts...)
	g.Port, g.Consistency = port, level
	g.Timeout, g.WriteTimeout, g.ConnectTimeout = c.Timeout, c.Timeout, c.Timeout
	g.NumConns, g.DefaultIdempotence = c.Connections, true
	g.WriteCoalesceWaitTime = 0 // each write would wait for others: five times the latency of a lone one
	g.RetryPolicy = retry{}
	g.ReconnectInterval = time.Second
	g.MaxPreparedStmts = 100
	g.Metadata.CacheMode = gocql.KeyspaceOnly
	g.Logger = logger{c.Logger}
	if c.Username != "" {
		g.Authenticator = gocql.PasswordAuthenticator{Username: c.Username, Password: c.Password}
	}
	if c.CA != "" || c.Cert != "" {
		t, err := c.tls()
		if err != nil {
			return nil, err
		}
		g.SslOpts = &gocql.SslOptions{Config: t, EnableHostVerification: true}
	}
	return g, nil
}

func (c Config) tls() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("CASSANDRA_CA: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CASSANDRA_CA: %s holds no certificate", c.CA)
		}
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("CASSANDRA_CERT: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}
