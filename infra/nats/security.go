package nats

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
)

// Validate names what is wrong by its variable, files that cannot be read
// included.
func (c Config) Validate() error {
	if c.User != "" && c.Credentials != "" {
		return errors.New("NATS_USER and NATS_CREDENTIALS are both set, expected one of them")
	}
	if c.User == "" && c.Password != "" {
		return errors.New("NATS_PASSWORD is set, expected NATS_USER as well")
	}
	if (c.Cert == "") != (c.Key == "") {
		return errors.New("NATS_CERT and NATS_KEY belong together")
	}
	if c.Partitions < 0 || c.Partitions > PartitionsMost {
		return fmt.Errorf("NATS_PARTITIONS is %d, expected 1 to %d", c.Partitions, PartitionsMost)
	}
	if strings.ContainsAny(c.InboxPrefix, "*> \t\r\n") || strings.HasSuffix(c.InboxPrefix, ".") {
		return fmt.Errorf("NATS_INBOX_PREFIX is %q, expected the beginning of a subject, without wildcards", c.InboxPrefix)
	}
	if c.Credentials != "" {
		if _, err := os.Stat(c.Credentials); err != nil {
			return fmt.Errorf("NATS_CREDENTIALS: %w", err)
		}
	}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return fmt.Errorf("NATS_CA: %w", err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			return fmt.Errorf("NATS_CA: %s holds no certificate", c.CA)
		}
	}
	if c.Cert != "" {
		if _, err := tls.LoadX509KeyPair(c.Cert, c.Key); err != nil {
			return fmt.Errorf("NATS_CERT: %w", err)
		}
	}
	return nil
}

// security is how the client proves who it is, and the server. Files are read
// anew for every connection.
func (c Config) security() (opts []nats.Option) {
	if c.User != "" {
		opts = append(opts, nats.UserInfo(c.User, c.Password))
	}
	if c.Credentials != "" {
		opts = append(opts, nats.UserCredentials(c.Credentials))
	}
	if c.InboxPrefix != "" {
		opts = append(opts, nats.CustomInboxPrefix(c.InboxPrefix))
	}
	if c.CA != "" {
		opts = append(opts, nats.RootCAs(c.CA))
	}
	if c.Cert != "" {
		opts = append(opts, nats.ClientCert(c.Cert, c.Key))
	}
	return opts
}
