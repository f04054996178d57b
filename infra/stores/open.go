package stores

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Names of the embedded stores' files in the data folder.
const (
	MessagesFile = "messages.db"
	MetadataFile = "metadata.db"
	SearchFile   = "search.db"
)

// Host is the process that opens a store. Its zero value works.
type Host struct {
	Name       string                // of connections, for people who look at the server
	Log        *slog.Logger          // slog.Default if nil
	Registerer prometheus.Registerer // no metrics if nil

	Views    Register      // says which generation is live; nil: the first one is, for ever
	Lease    time.Duration // Lease if 0; the same for all who share a register
	OpenWait time.Duration // how long a store is waited for that is away; 30 s if 0. It is opened later all the same
	Bulk     bool          // much is written before anything is read: writes need not be visible at once
}

// Embedded says where the embedded stores keep their files. Any number of
// processes on one machine may share them.
type Embedded struct {
	Dir        string `env:"DATA_DIR" envDefault:"data"` // made where it is missing
	SyncAlways bool   `env:"SYNC_ALWAYS"`                // every write survives a power cut
}

// File is the path of a generation's file, in a folder that exists: messages.db,
// then messages.2.db and so on.
func (e Embedded) File(name string, generation int) (string, error) {
	dir := e.Dir
	if dir == "" {
		dir = "data"
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("DATA_DIR %q cannot be made: %w", dir, err)
	}
	if generation > 1 {
		end := filepath.Ext(name)
		name = fmt.Sprintf("%s.%d%s", strings.TrimSuffix(name, end), generation, end)
	}
	return filepath.Join(dir, name), nil
}

// Known is the error of a variable that names none of the stores there are; ""
// stands for the first.
func Known(variable, value string, names ...string) error {
	if value == "" || slices.Contains(names, value) {
		return nil
	}
	return fmt.Errorf("%s is %q, expected %s", variable, value, strings.Join(names, " or "))
}
