//go:build !unix || solaris || aix

package embedded

import "os"

// lockFile only proves that the folder can be written to.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}
