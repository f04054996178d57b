package full_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/local/full"
)

// engine puts a docker of the test's making into the PATH: a shell script's body,
// which sees the arguments. What it was called with is in the file that calls
// gives.
func engine(t *testing.T, names map[string]string) (calls func() string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "calls")
	for name, body := range names {
		script := fmt.Sprintf("#!/bin/sh\necho \"%s $*\" >>%s\n%s\n", name, file, body)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700))
	}
	t.Setenv("PATH", dir)
	return func() string {
		b, _ := os.ReadFile(file)
		return string(b)
	}
}

// chat runs `chat full …` with ports that are free, unless environ says otherwise.
func chat(t *testing.T, args []string, environ ...string) (code int, out, errs string) {
	t.Helper()
	env := []string{"PATH=" + os.Getenv("PATH"), "DATA_DIR=" + t.TempDir(), "FULL_WAIT=300ms", "LOG_LEVEL=ERROR"}
	for _, name := range []string{"NATS", "CASSANDRA", "MONGODB", "ELASTICSEARCH", "REDIS", "KEYCLOAK"} {
		env = append(env, "FULL_"+name+"_PORT="+strconv.Itoa(free(t)))
	}
	var o, e bytes.Buffer
	code = process.Run("chat", process.World{Args: append([]string{"full"}, args...), Environ: append(env, environ...), Stdout: &o, Stderr: &e}, full.Run)
	return code, o.String(), e.String()
}

func free(t *testing.T) int {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

const works = `case "$1 $2" in "compose version") exit 1;; esac`

func TestWhatIsMissing(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	for _, tt := range []struct {
		name    string
		tools   map[string]string
		environ []string
		want    string
	}{
		{"no docker", nil, nil, "docker is missing"},
		{"no engine", map[string]string{"docker": `echo "Cannot connect to the daemon" >&2; exit 1`}, nil, "no container engine answers: docker version: Cannot connect to the daemon"},
		{"no compose", map[string]string{"docker": works}, nil, "neither `docker compose` nor `docker-compose` is there"},
		{"a port that is taken", map[string]string{"docker": works, "docker-compose": ""}, []string{"FULL_MONGODB_PORT=" + port}, "127.0.0.1:" + port + ", for mongodb, is taken: end what listens there, or set FULL_MONGODB_PORT"},
		{"no image", map[string]string{
			"docker": `case "$*" in "image inspect mine/redis:1") exit 1;; "pull --quiet mine/redis:1") echo "pull access denied" >&2; exit 1;; esac` + "\n" + works, "docker-compose": "",
		}, []string{"REDIS_IMAGE=mine/redis:1"}, "the image of redis cannot be had, set REDIS_IMAGE to another: docker pull: pull access denied"},
		{"compose fails", map[string]string{"docker": works, "docker-compose": `echo "ERROR: for nats  no space left" >&2; echo "ERROR: Encountered errors while bringing up the project." >&2; exit 1`},
			nil, "docker-compose up: for nats  no space left"},
		{"a variable that is none", map[string]string{}, []string{"FULL_NATS_PORT=high"}, "FULL_NATS_PORT"},
		{"nothing answers", map[string]string{"docker": works, "docker-compose": ""}, nil, "is not ready, not within 300ms (FULL_WAIT): "},
		{"one ends by itself", map[string]string{"docker": `case "$1" in
ps) echo "nats|x_nats_1|Exited (1) 2 seconds ago" ;;
logs) echo "flag provided but not defined"; echo "	at a.b.C" ;;
esac` + "\n" + works, "docker-compose": ""}, []string{"FULL_WAIT=60s"}, "nats has ended by itself (docker logs x_nats_1): flag provided but not defined"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			engine(t, tt.tools)
			code, _, errs := chat(t, nil, tt.environ...)
			assert.Equal(t, 1, code)
			assert.Contains(t, errs, tt.want)
			assert.Equal(t, 1, strings.Count(strings.TrimSpace(errs), "\n")+1, "one line says it: %s", errs)
		})
	}
}

func TestStopAndClean(t *testing.T) {
	v2 := map[string]string{"docker": ""}
	for _, tt := range []struct {
		tools map[string]string
		arg   string
		want  string
	}{
		{v2, "stop", "docker compose -p chat-full -f - stop\n"},
		{v2, "clean", "docker compose -p chat-full -f - down --volumes --remove-orphans\n"},
		{map[string]string{"docker": works, "docker-compose": "read first; case \"$first\" in \\#*) ;; *) exit 1 ;; esac"}, "stop", "docker-compose -p chat-full -f - stop\n"},
	} {
		calls := engine(t, tt.tools)
		code, _, errs := chat(t, []string{tt.arg})
		require.Zero(t, code, errs)
		assert.Contains(t, calls(), tt.want)
	}
}

func TestUsage(t *testing.T) {
	code, out, _ := chat(t, []string{"-h"})
	assert.Zero(t, code)
	assert.Contains(t, out, "usage: chat full")
	code, _, errs := chat(t, []string{"sideways"})
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, `no argument "sideways"`)
}

// The realm is imported once, so a change is told until all is removed.
func TestAChangedRealm(t *testing.T) {
	cfg := full.Config{DataDir: t.TempDir()}
	cfg.Realm.Development = true
	for range 10 {
		changed, err := cfg.NoteImport()
		require.NoError(t, err)
		require.False(t, changed)
	}
	cfg.Realm.DemoPassword = "another"
	for range 2 {
		changed, err := cfg.NoteImport()
		require.NoError(t, err)
		require.True(t, changed)
	}
	require.NoError(t, cfg.ForgetImport())
	require.NoError(t, cfg.ForgetImport())
	changed, err := cfg.NoteImport()
	require.NoError(t, err)
	require.False(t, changed)
}
