package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/chat-platform/chat/events"
)

// Folder is a store in a folder of this machine, or of a file server that knows
// atomic renames.
type Folder struct{ dir string }

// OpenFolder makes the folder if it is missing. What an earlier process began to
// write and did not finish is removed when the object is put again.
func OpenFolder(dir string) (*Folder, error) {
	if dir == "" {
		return nil, events.Invalid("invalid_archive", "", "the archive's folder has no name")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("archive in %s: %w", dir, err)
	}
	return &Folder{dir}, nil
}

func (f *Folder) path(name string) (string, error) {
	local, err := filepath.Localize(name)
	if err != nil {
		return "", events.Invalid("invalid_object", "", "%q is not an object's name", name)
	}
	return filepath.Join(f.dir, local), nil
}

// Put writes a file beside, has the disk take it, and renames it.
func (f *Folder) Put(_ context.Context, name string, data []byte) (err error) {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("put %s: %w: %w", path, events.ErrUnavailable, err)
		}
	}()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".put-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err = os.Rename(file.Name(), path); err != nil {
		return err
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) { // the names, too, have to outlive the power
		if err = syncFolder(dir); err != nil || dir == f.dir || len(dir) <= len(f.dir) {
			return err
		}
	}
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Get reads a part of a file.
func (f *Folder) Get(_ context.Context, name string, offset, length int64) ([]byte, error) {
	path, err := f.path(name)
	if err != nil {
		return nil, err
	}
	b, err := readPart(path, offset, length)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", events.ErrNotFound, err)
	} else if err != nil {
		err = fmt.Errorf("get %s: %w: %w", path, events.ErrUnavailable, err)
	}
	return b, err
}

func readPart(path string, offset, length int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	left := max(info.Size()-offset, 0)
	if length >= 0 {
		left = min(left, length)
	}
	b := make([]byte, left)
	_, err = io.ReadFull(io.NewSectionReader(file, offset, left), b)
	return b, err
}

// List walks the folder.
func (f *Folder) List(ctx context.Context, prefix string, each func(name string, size int64) error) error {
	root, err := f.path(strings.TrimSuffix(prefix, "/"))
	if err != nil {
		return err
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".put-") {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(f.dir, path)
		if err != nil {
			return err
		}
		return each(filepath.ToSlash(rel), info.Size())
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w: %w", root, events.ErrUnavailable, err)
	}
	return nil
}
