package tools_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/local/platform/platformtest"
	"github.com/chat-platform/chat/local/tools"
)

var commands = map[string]func(context.Context, *process.Process) error{
	"rebuild": tools.Rebuild, "replay": tools.Replay, "load": tools.Load, "invoke": tools.Invoke, "realm": tools.Realm,
}

// run runs a command line as the chat binary would.
func run(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, said bytes.Buffer
	code = process.Run("chat", process.World{Args: args, Environ: environ, Stdout: &out, Stderr: &said, Signals: make(chan os.Signal)}, commands[args[0]])
	return code, out.String(), said.String()
}

func TestHelp(t *testing.T) {
	for command, flags := range map[string][]string{
		"rebuild": {"-data", "-nats"},
		"replay":  {"-url", "-corpus", "-batch"},
		"load":    {"-url", "-rate", "-for", "-warmup", "-channels", "-listeners", "-in-flight"},
		"realm":   {"-development"},
		"invoke":  {"-root", "-function", "-event", "-mode", "-as", "-serve"},
	} {
		for _, ask := range []string{"-h", "-help"} {
			code, out, said := run(t, nil, command, ask)
			assert.Zero(t, code, command)
			assert.Empty(t, said, command)
			assert.Contains(t, out, "usage: chat "+command)
			for _, f := range flags {
				assert.Contains(t, out, "  "+f, command)
			}
		}
	}
}

func TestRefusalsAreOneLine(t *testing.T) {
	empty := t.TempDir()
	corpus := filepath.Join(empty, "corpus.jsonl")
	require.NoError(t, os.WriteFile(corpus, []byte("not JSON\n"), 0o600))
	for _, tt := range []struct {
		args    []string
		environ []string
		says    []string
	}{
		{[]string{"realm"}, []string{"CHAT_WATCHER_SECRET=short"}, []string{"CHAT_WATCHER_SECRET", "16"}},
		{[]string{"rebuild", "-fast"}, nil, []string{"-fast", "chat rebuild -h"}},
		{[]string{"rebuild", "everything"}, nil, []string{`"everything"`, "messages, metadata, search, all"}},
		{[]string{"rebuild", "search", "messages"}, nil, []string{`"messages"`}},
		{[]string{"rebuild", "-nats", "nats://127.0.0.1:1"}, []string{"NATS_CONNECT_WAIT=50ms"}, []string{"nats://127.0.0.1:1"}},
		{[]string{"rebuild", "-data", empty}, nil, []string{empty, "no log"}},
		{[]string{"rebuild"}, []string{"DATA_DIR=" + empty}, []string{empty, "no log"}},
		{[]string{"replay", "-speed=2"}, nil, []string{"-speed"}},
		{[]string{"replay", "-url", "here"}, nil, []string{`"here"`, "http://localhost:8080"}},
		{[]string{"replay", "-corpus", empty + "/none"}, nil, []string{empty + "/none"}},
		{[]string{"replay", "-corpus", corpus}, nil, []string{corpus, "line 1"}},
		{[]string{"replay", "-batch", "1001"}, nil, []string{"-batch is 1001", "1 to 1000"}},
		{[]string{"load", "-rate", "much"}, nil, []string{"-rate", `"much"`}},
		{[]string{"load", "-rate", "0"}, nil, []string{"-rate", "1 to 100000"}},
		{[]string{"load", "-url", "http://chat.example"}, nil, []string{"chat.example", "loopback"}},
		{[]string{"load", "now"}, nil, []string{`"now"`}},
		{[]string{"invoke", "-function", "fly", "-root", "../.."}, nil, []string{`"fly"`, "sendmessage"}},
		{[]string{"invoke", "-function", "sendmessage", "-root", empty}, nil, []string{empty, "-root"}},
		{[]string{"invoke", "-quick"}, nil, []string{"-quick"}},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			code, out, said := run(t, tt.environ, tt.args...)
			assert.Equal(t, 1, code)
			assert.Empty(t, out)
			for _, want := range tt.says {
				assert.Contains(t, said, want)
			}
			assert.Equal(t, 1, strings.Count(said, "\n"), "one line: %s", said)
		})
	}
}

func TestPlatform(t *testing.T) {
	p := platformtest.Start(t, "")
	corpus := filepath.Join(t.TempDir(), "corpus.jsonl")
	require.NoError(t, os.WriteFile(corpus, []byte(`{"id":"1","ts":"2024-01-01T00:00:00Z","channel":"#go","user":"ann","text":"first words"}
{"id":"2","ts":"2024-01-01T00:00:01Z","channel":"#go","user":"bob","text":"an answer","reply_to":"1"}
`), 0o600))
	code, out, said := run(t, nil, "replay", "-url", p.URL, "-corpus", corpus)
	require.Zero(t, code, said)
	assert.Contains(t, out, "verified 2 of 2")

	code, out, said = run(t, nil, "load", "-url", p.URL, "-rate", "50", "-for", "200ms", "-warmup", "0s", "-channels", "1", "-listeners", "1")
	require.Zero(t, code, said)
	assert.Contains(t, out, "0 failed")

	code, out, said = run(t, nil, "rebuild", "metadata", "-data", p.Dir)
	require.Zero(t, code, said)
	assert.Contains(t, out, "equal before and after", "by the platform, while it serves")

	require.Zero(t, p.Stop(t), p.Output())
	code, out, said = run(t, nil, "rebuild", "-data", p.Dir)
	require.Zero(t, code, said)
	assert.Equal(t, 3, strings.Count(out, "equal before and after"), out)

	// Nobody answers.
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	code, _, said = run(t, nil, "load", "-url", "http://"+ln.Addr().String(), "-for", "100ms", "-warmup", "0s")
	assert.Equal(t, 1, code)
	assert.Contains(t, said, ln.Addr().String())
}

func TestRealm(t *testing.T) {
	code, out, said := run(t, []string{"CHAT_URL=https://chat.example.com", "CHAT_WATCHER_SECRET=0123456789abcdef"}, "realm")
	require.Zero(t, code, said)
	require.Contains(t, out, `"https://chat.example.com/"`)
	require.Contains(t, out, `"secret": "0123456789abcdef"`)
	require.NotContains(t, out, "chat-tools")
	code, out, said = run(t, []string{"CHAT_DEMO_PASSWORD=sesame"}, "realm", "-development")
	require.Zero(t, code, said)
	require.Contains(t, out, `"chat-tools"`)
	require.Contains(t, out, `"value": "sesame"`)
}
