// Package datadir names what the platform keeps in its data folder.
package datadir

import (
	"fmt"
	"os"
	"path/filepath"
)

// Names inside the data folder. The stores' files beside them are named in
// infra/stores.
const (
	Log      = "log"          // the folder of the embedded server's streams
	Internal = "internal.url" // where the running platform listens for its operator, with the key; its owner's alone
)

// Open makes the folder if it is missing and tries to write in it. Its error
// names the folder and the variable to change.
func Open(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data folder %s cannot be made, set DATA_DIR to a folder that can be written: %w", dir, err)
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("data folder %s cannot be written, set DATA_DIR to one that can: %w", dir, err)
	}
	name := probe.Name()
	if err := probe.Close(); err != nil {
		return fmt.Errorf("data folder %s: %w", filepath.Dir(name), err)
	}
	if err := os.Remove(name); err != nil {
		return fmt.Errorf("data folder %s: %w", filepath.Dir(name), err)
	}
	return nil
}
