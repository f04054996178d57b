package platform

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"

	"github.com/chat-platform/chat/functions"
	"github.com/chat-platform/chat/infra/cutoff"
	"github.com/chat-platform/chat/infra/keycloak/admin"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/oidc"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/infra/ratelimit"
	"github.com/chat-platform/chat/infra/redis"
	"github.com/chat-platform/chat/infra/stores/messages"
	"github.com/chat-platform/chat/infra/stores/metadata"
	"github.com/chat-platform/chat/infra/stores/search"
	"github.com/chat-platform/chat/infra/stores/segments"
	"github.com/chat-platform/chat/local/issuer"
	"github.com/chat-platform/chat/longrunning/archiver"
	"github.com/chat-platform/chat/longrunning/fanout"
	"github.com/chat-platform/chat/longrunning/identity"
	"github.com/chat-platform/chat/longrunning/notification"
)

// Config is the platform's settings; those of its parts are theirs.
type Config struct {
	DataDir    string   `env:"DATA_DIR" envDefault:"data"`
	SyncAlways bool     `env:"SYNC_ALWAYS"`                      // every receipt survives a power cut; one to two thousand messages a second
	OwnLog     bool     `env:"-"`                                // the log is embedded: NATS_URL names no server
	NATSPort   int      `env:"NATS_PORT" envDefault:"0"`         // TCP port of the embedded log on the loopback address; 0: none, −1: any
	Issuer     string   `env:"OIDC_ISSUER"`                      // empty: the development issuer
	Discovery  string   `env:"OIDC_DISCOVERY_URL"`               // where the platform, unlike browsers, reaches that issuer
	ClientID   string   `env:"OIDC_CLIENT_ID" envDefault:"chat"` // that the page logs in with
	Origins    []string `env:"CORS_ORIGINS"`                     // pages of other origins that may call
	Audience   string   `env:"OIDC_AUDIENCE" envDefault:"chat"`
	Profiling  bool     `env:"PPROF"`      // serve Go's profiles under /debug/pprof/; only for loopback listeners
	Public     string   `env:"PUBLIC_URL"` // under which clients reach the platform; http://localhost:<port> if empty

	Log          nats.Config
	Messages     messages.Config
	Metadata     metadata.Config
	Search       search.Config
	Dev          issuer.Config
	Fanout       fanout.Config
	Notification notification.Config
	Segments     segments.Config // the log's archive; none if it has no URL
	Archiver     archiver.Config
	Limits       ratelimit.Limits // none by default where the development issuer lets anybody in
	CutOffs      cutoff.Config
	Keycloak     admin.Config    // whose events are watched, if it has a secret and Issuer is given
	Identity     identity.Config // the watcher
	Redis        redis.Config    // where limits and pages are kept; in the process if no URL is given
	Pages        functions.PagesConfig
}

// read fills the configuration from the environment.
func (c *Config) read(p *process.Process) error {
	environ := p.Environ()
	c.OwnLog = environ["NATS_URL"] == ""
	if environ["OIDC_ISSUER"] != "" {
		c.Limits = ratelimit.Defaults()
	}
	return p.Config(c)
}

// Validate says which variable cannot be.
func (c Config) Validate() error {
	if c.Public != "" {
		if u, err := url.Parse(c.Public); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("PUBLIC_URL is %q, expected a URL like http://localhost:8080", c.Public)
		}
	}
	if c.NATSPort < -1 || c.NATSPort > 65535 {
		return fmt.Errorf("NATS_PORT is %d, expected -1 to 65535", c.NATSPort)
	}
	if c.NATSPort != 0 && !c.OwnLog {
		return fmt.Errorf("NATS_PORT is %d, but the log is not the embedded one: NATS_URL is set", c.NATSPort)
	}
	return errors.Join(c.Log.Validate(), c.Messages.Validate(), c.Metadata.Validate(), c.Search.Validate(), c.Fanout.Validate(),
		c.CutOffs.Validate(), c.Keycloak.Validate(), c.Identity.Validate(), c.Segments.Validate(), c.Archiver.Validate())
}

// publicURL is where clients find the platform.
func (c Config) publicURL(addr net.Addr) string {
	if c.Public != "" {
		return c.Public
	}
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return "http://" + addr.String()
	}
	host := "localhost"
	if !tcp.IP.IsLoopback() && !tcp.IP.IsUnspecified() {
		host = tcp.IP.String()
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(tcp.Port))
}

func (c Config) verifier(issuerURL string) *oidc.Verifier {
	return oidc.New(oidc.Config{Issuer: issuerURL, Audience: c.Audience, DiscoveryURL: c.Discovery})
}
