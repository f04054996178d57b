package mongodb

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// Config says where MongoDB is. The zero value means a server on this machine.
type Config struct {
	URL            string        `env:"MONGODB_URL" envDefault:"mongodb://127.0.0.1:27017"` // connection string, with credentials and TLS where needed; never logged
	Database       string        `env:"MONGODB_DATABASE" envDefault:"chat"`
	Timeout        time.Duration `env:"MONGODB_TIMEOUT" envDefault:"10s"`        // of one read or bulk write, repetitions included; half of it to find a primary
	MaxConnections uint64        `env:"MONGODB_MAX_CONNECTIONS" envDefault:"64"` // for each server; calls beyond that wait
	Name           string        `env:"MONGODB_CLIENT_NAME"`                     // of the connections, for people who look at the server

	Generation int                   `env:"-"` // of the view: its collections' names end with it, from 2 on
	Registerer prometheus.Registerer `env:"-"` // no metrics if nil

	monitor *event.CommandMonitor // tests look at the statements
}

// suffix ends the names of a generation's collections.
func (c Config) suffix() string {
	if c.Generation <= 1 {
		return ""
	}
	return "_" + strconv.Itoa(c.Generation)
}

func (c Config) withDefaults() Config {
	if c.URL == "" {
		c.URL = "mongodb://127.0.0.1:27017"
	}
	if c.Database == "" {
		c.Database = "chat"
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 64
	}
	if c.Name == "" {
		c.Name = "chat"
	}
	return c
}

// options are the driver's: connection string first, then what this package
// promises and a connection string may not change.
func (c Config) options() (*options.ClientOptions, error) {
	o := options.Client().ApplyURI(c.URL)
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("MONGODB_URL: %w", withoutSecret(c.URL, err))
	}
	journal := true
	o.SetAppName(c.Name)
	o.SetMaxPoolSize(c.MaxConnections)
	o.SetServerSelectionTimeout(c.Timeout / 2)
	o.SetConnectTimeout(c.Timeout / 2)
	o.SetWriteConcern(&writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journal})
	o.SetReadConcern(readconcern.Local())
	o.SetReadPreference(readpref.Primary())
	o.SetRetryWrites(true).SetRetryReads(true)
	if c.monitor != nil {
		o.SetMonitor(c.monitor)
	}
	return o, nil
}

// withoutSecret keeps the credentials of a connection string out of what the
// driver says about it.
func withoutSecret(url string, err error) error {
	_, rest, _ := strings.Cut(url, "://")
	at := strings.LastIndexByte(rest, '@')
	if at < 0 {
		return err
	}
	text := strings.ReplaceAll(err.Error(), rest[:at], "…")
	if _, password, ok := strings.Cut(rest[:at], ":"); ok && password != "" {
		text = strings.ReplaceAll(text, password, "…")
	}
	return errors.New(text)
}
