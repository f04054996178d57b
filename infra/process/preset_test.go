package process_test

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/process"
)

// What a main has set is its default: the environment goes before it.
func TestMainsChooseTheirDefaults(t *testing.T) {
	cfg := struct {
		Set    int    `env:"SET" envDefault:"1"`
		Given  int    `env:"GIVEN" envDefault:"2"`
		Plain  string `env:"PLAIN"`
		Zero   bool   `env:"ZERO"`
		Absent string `env:"ABSENT" envDefault:"default"`
	}{Set: 10, Given: 20, Plain: "mine", Zero: true}
	code := process.Run("test", process.World{Environ: []string{"GIVEN=21", "PLAIN=theirs", "ZERO=false"}, Stdout: io.Discard, Stderr: io.Discard},
		func(_ context.Context, p *process.Process) error { return p.Config(&cfg) })
	require.Zero(t, code)
	require.Equal(t, 10, cfg.Set)
	require.Equal(t, 21, cfg.Given)
	require.Equal(t, "theirs", cfg.Plain)
	require.False(t, cfg.Zero)
	require.Equal(t, "default", cfg.Absent)
}
