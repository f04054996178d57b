package tools_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/nats/embedded"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/local/datadir"
	"github.com/chat-platform/chat/local/tools"
)

func partitions(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	code = process.Run("chat", process.World{Args: append([]string{"partitions"}, args...), Environ: []string{"DATA_DIR=" + t.TempDir(), "NATS_CONNECT_WAIT=50ms"},
		Stdout: &out, Stderr: &out, Signals: make(chan os.Signal)}, tools.Partitions)
	return code, out.String()
}

func TestPartitions(t *testing.T) {
	srv := natstest.Start(t)
	dir := t.TempDir()
	own, err := embedded.Start(embedded.Config{Dir: filepath.Join(dir, datadir.Log)})
	require.NoError(t, err)
	own.Shutdown()
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-h"}, 0, "chat partitions [N]"},
		{[]string{"some"}, 1, `"some"`},
		{[]string{"0"}, 1, "1 to 256"},
		{[]string{"4", "-x"}, 1, "-x"},
		{nil, 1, "holds no log"},
		{[]string{"-nats", "nats://127.0.0.1:1"}, 1, "nats://127.0.0.1:1"},
		{[]string{"-nats", srv.ClientURL()}, 0, "MESSAGES: new messages go to 1, 1 at most so far"},
		{[]string{"8", "-nats", srv.ClientURL()}, 0, "MESSAGES: new messages go to 8, 8 at most so far"},
		{[]string{"2", "-nats", srv.ClientURL()}, 0, "MESSAGES: new messages go to 2, 8 at most so far"},
		{[]string{"4", "-data", dir}, 0, "new messages go to 4, 4 at most"},
		{[]string{"-data", dir}, 0, "new messages go to 4, 4 at most"},
	} {
		code, said := partitions(t, tt.args...)
		assert.Equal(t, tt.code, code, "%q: %s", tt.args, said)
		assert.Contains(t, said, tt.says, tt.args)
	}
}
