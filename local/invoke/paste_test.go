package invoke_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/local/invoke"
)

// paste runs the printed lines in a shell whose curl and func write down their
// arguments, and what comes in by a pipe.
func paste(t *testing.T, lines string) [][]string {
	t.Helper()
	dir, into := t.TempDir(), t.TempDir()
	const script = "#!/bin/sh\nfor a in \"$0\" \"$@\"; do printf '%s\\0' \"$a\"; case $a in @-) cat; printf '\\0';; esac; done > \"$INTO/${0##*/}\"\n"
	for _, name := range []string{"curl", "func"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700))
	}
	sh := exec.CommandContext(t.Context(), "sh", "-eu")
	sh.Stdin, sh.Dir, sh.Env = strings.NewReader(lines), into, append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "INTO="+into)
	out, err := sh.CombinedOutput()
	require.NoError(t, err, "%s\n%s", out, lines)
	var calls [][]string
	for _, name := range []string{"curl", "func"} {
		b, err := os.ReadFile(filepath.Join(into, name))
		require.NoError(t, err, lines)
		calls = append(calls, strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")[1:])
	}
	return calls
}

// What -serve prints can be pasted, in any folder: paths are whole, JSON with
// quotes in it stays one argument.
func TestPaste(t *testing.T) {
	// A copy of the repository's outline whose path and fixture are awkward.
	outline := filepath.Join(t.TempDir(), "Anna's copy")
	testdata := filepath.Join(outline, "functions", "command", "createchannel", "testdata")
	require.NoError(t, os.MkdirAll(testdata, 0o750))
	const data = `{"name":"Anna's \"$HOME\" & others"}`
	const event = `{
		"specversion": "1.0", "id": "paste 1", "source": "/t", "type": "chat.command.createchannel.v1", "authtype": "user", "authid": "anna",
		"data": {"name": "Anna's \"$HOME\" & others"}
	}
`
	fixture := filepath.Join(testdata, "ok.json")
	require.NoError(t, os.WriteFile(fixture, []byte(event), 0o600))

	for mode, want := range map[string][]string{
		"structured": {"-i", "URL", "-H", "Content-Type: application/cloudevents+json", "--data-binary", "@" + fixture},
		"batch":      {"-i", "URL", "-H", "Content-Type: application/cloudevents-batch+json", "--data-binary", "@-", "[" + event + "]"},
		"binary": {"-i", "URL", "-H", "ce-id: paste%201", "-H", "ce-source: /t", "-H", "ce-specversion: 1.0", "-H", "ce-type: chat.command.createchannel.v1",
			"-H", "content-type: application/json", "--data-binary", data},
	} {
		t.Run(mode, func(t *testing.T) {
			said := invoke.Invitation(t, invoke.Config{Root: outline, Function: "createchannel", Event: "ok", Mode: mode}, "URL")
			assert.Contains(t, said, "createchannel listens on URL; requests without a token come from anna")
			_, lines, _ := strings.Cut(said, "Try:\n")
			lines, _, _ = strings.Cut(lines, "Ctrl-C")
			calls := paste(t, lines)
			assert.Equal(t, want, calls[0])
			assert.Equal(t, []string{"invoke", "--path", filepath.Dir(testdata), "-f", "cloudevent", "-t", "URL", "--type", "chat.command.createchannel.v1", "--data", data}, calls[1])
		})
	}
}
