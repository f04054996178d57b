package elasticsearch

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"time"

	driver "github.com/elastic/go-elasticsearch/v8"

	"github.com/chat-platform/chat/events"
)

// Config says where the servers are and how the view lies in them. The zero
// value of a field that has a default means the default, but for WaitVisible and
// Replicas.
type Config struct {
	URLs     []string `env:"ELASTICSEARCH_URL" envDefault:"http://localhost:9200"` // nodes, separated by commas
	Username string   `env:"ELASTICSEARCH_USERNAME"`
	Password string   `env:"ELASTICSEARCH_PASSWORD"`
	APIKey   string   `env:"ELASTICSEARCH_API_KEY"` // as the server gave it, encoded; instead of a user
	CAFile   string   `env:"ELASTICSEARCH_CA_FILE"` // PEM; instead of the system's authorities

	Index    string `env:"ELASTICSEARCH_INDEX" envDefault:"messages"` // name of the alias
	Shards   int    `env:"ELASTICSEARCH_SHARDS" envDefault:"1"`       // of indices yet to be created
	Replicas int    `env:"ELASTICSEARCH_REPLICAS" envDefault:"1"`     // of indices yet to be created; 0 on a single node

	Generation int `env:"-"` // of the view: the alias's name ends with it, from 2 on

	RefreshInterval time.Duration `env:"ELASTICSEARCH_REFRESH_INTERVAL" envDefault:"500ms"` // how soon writes can be searched
	WaitVisible     bool          `env:"ELASTICSEARCH_WAIT_VISIBLE" envDefault:"true"`      // IndexMessages waits for that

	Timeout   time.Duration `env:"ELASTICSEARCH_TIMEOUT" envDefault:"30s"`        // of one request
	Attempts  int           `env:"ELASTICSEARCH_ATTEMPTS" envDefault:"6"`         // of a request, in all
	RetryWait time.Duration `env:"ELASTICSEARCH_RETRY_WAIT" envDefault:"50ms"`    // at most, before the second attempt; doubles, up to 2 s
	BulkBytes int           `env:"ELASTICSEARCH_BULK_BYTES" envDefault:"4194304"` // of one bulk request, unless a single message is larger
}

var indexName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,99}$`)

func (c Config) withDefaults() (Config, error) {
	if len(c.URLs) == 0 {
		c.URLs = []string{"http://localhost:9200"}
	}
	orDefault(&c.Index, "messages")
	orDefault(&c.Shards, 1)
	orDefault(&c.RefreshInterval, 500*time.Millisecond)
	orDefault(&c.Timeout, 30*time.Second)
	orDefault(&c.Attempts, 6)
	orDefault(&c.RetryWait, 50*time.Millisecond)
	orDefault(&c.BulkBytes, 4<<20)
	switch {
	case !indexName.MatchString(c.Index):
		return c, fmt.Errorf("%w: ELASTICSEARCH_INDEX %q: expected a to z, digits, _ and -, at most 100", events.ErrInvalid, c.Index)
	case c.Shards < 0 || c.Replicas < 0 || c.RefreshInterval < 0 || c.Timeout < 0 || c.Attempts < 0 || c.RetryWait < 0 || c.BulkBytes < 0:
		return c, fmt.Errorf("%w: numbers and durations of ELASTICSEARCH_… must not be negative", events.ErrInvalid)
	}
	if c.Generation > 1 {
		c.Index += "-g" + strconv.Itoa(c.Generation)
	}
	return c, nil
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// client is the driver without its own retries, which know nothing of the items
// of a bulk request.
func (c Config) client() (*driver.BaseClient, *http.Transport, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	cfg := driver.Config{
		Addresses: c.URLs, Username: c.Username, Password: c.Password, APIKey: c.APIKey,
		Transport: transport, DisableRetry: true, DisableMetaHeader: true,
	}
	if c.CAFile != "" {
		var err error
		if cfg.CACert, err = os.ReadFile(c.CAFile); err != nil {
			return nil, nil, fmt.Errorf("%w: ELASTICSEARCH_CA_FILE: %w", events.ErrInvalid, err)
		}
	}
	client, err := driver.NewBaseClient(cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: ELASTICSEARCH_…: %w", events.ErrInvalid, err)
	}
	return client, transport, nil
}
