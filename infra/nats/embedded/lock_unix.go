//go:build unix && !solaris && !aix

package embedded

import (
	"fmt"
	"os"
	"syscall"
)

// lockFile holds a lock for as long as the file is open, that is, at most until
// the process ends in whatever way.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("another process uses the folder (lock %s: %w)", path, err)
	}
	return f, nil
}
