// Command check loads functions' func.yaml as the func CLI does and says what is
// wrong: what the CLI refuses, and what it passes over, fields that it does not
// know and values of a wrong type.
//
//	check FOLDER…
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"
	fn "knative.dev/func/pkg/functions"
)

func main() {
	failed := 0
	for _, dir := range os.Args[1:] {
		if err := check(dir); err != nil {
			failed++
			fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Join(dir, fn.FunctionFile), err)
		}
	}
	fmt.Printf("func.yaml: %d checked, %d wrong\n", len(os.Args)-1, failed)
	if failed > 0 || len(os.Args) < 2 {
		os.Exit(1)
	}
}

func check(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, fn.FunctionFile))
	if err != nil {
		return err
	}
	strict := yaml.NewDecoder(bytes.NewReader(b))
	strict.KnownFields(true)
	if err := strict.Decode(new(fn.Function)); err != nil {
		return err
	}
	f, err := fn.NewFunction(dir)
	if err != nil {
		return err
	}
	if err := f.Validate(); err != nil {
		return err
	}
	switch {
	case !f.Initialized():
		return errors.New("created, name or runtime is missing")
	case f.Name != filepath.Base(f.Root):
		return fmt.Errorf("the name is %q, the folder's %q", f.Name, filepath.Base(f.Root))
	case f.SpecVersion != fn.LastSpecVersion():
		return fmt.Errorf("specVersion is %q, the newest %q", f.SpecVersion, fn.LastSpecVersion())
	case f.Invoke != "cloudevent":
		return fmt.Errorf("invoke is %q, expected cloudevent", f.Invoke)
	}
	return nil
}
