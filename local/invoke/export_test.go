package invoke

import (
	"strings"
	"testing"
)

// Invitation is what serving prints first, for an address.
func Invitation(t *testing.T, cfg Config, at string) string {
	t.Helper()
	fx, err := find(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	s := &stage{fixture: fx, function: cfg.Function, out: &out}
	s.invite(at, cfg.Mode)
	return out.String()
}
