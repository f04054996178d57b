package hooks_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// repo is a repository with the project's hooks and one root commit on main.
type repo struct {
	t   *testing.T
	dir string
}

func newRepo(t *testing.T) repo {
	t.Helper()
	hooks, err := filepath.Abs("../../.githooks")
	require.NoError(t, err)
	r := repo{t: t, dir: t.TempDir()}
	r.git("init", "-q", "-b", "main")
	r.git("config", "user.name", "Test")
	r.git("config", "user.email", "test@example.com")
	r.git("config", "core.hooksPath", hooks)
	r.write("README.md", "hello\n")
	r.git("add", "-A")
	r.git("commit", "-q", "-m", "chore: begin")
	return r
}

func (r repo) write(name, content string) {
	r.t.Helper()
	require.NoError(r.t, os.WriteFile(filepath.Join(r.dir, name), []byte(content), 0o600))
}

func (r repo) try(args ...string) (string, error) {
	cmd := exec.CommandContext(r.t.Context(), "git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func (r repo) git(args ...string) {
	r.t.Helper()
	out, err := r.try(args...)
	require.NoError(r.t, err, "git %s: %s", strings.Join(args, " "), out)
}

func TestPreCommit(t *testing.T) {
	for _, tt := range []struct {
		name, branch, file, content, want string
	}{
		{"a formatted file on a branch", "feature/x", "a.go", "package a\n", ""},
		{"a commit on main", "main", "a.txt", "a", "I5"},
		{"an unformatted file", "feature/x", "a.go", "package   a\n", "gofmt -w a.go"},
		{"a name with a space", "feature/x", "a b.go", "package   a\n", "gofmt -w a b.go"},
		{"a file over 1 MiB", "feature/x", "big.bin", strings.Repeat("x", 1<<20+1), "1 MiB"},
		{"a file of 1 MiB", "feature/x", "big.bin", strings.Repeat("x", 1<<20), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRepo(t)
			if tt.branch != "main" {
				r.git("switch", "-q", "-c", tt.branch)
			}
			r.write(tt.file, tt.content)
			r.git("add", "-A")
			out, err := r.try("commit", "-q", "-m", "feat: add a file")
			if tt.want == "" {
				assert.NoError(t, err, out)
				return
			}
			assert.Error(t, err)
			assert.Contains(t, out, tt.want)
		})
	}
}

func TestCommitMessage(t *testing.T) {
	for _, tt := range []struct {
		name, message, want string
	}{
		{"of the form", "feat: add threads", ""},
		{"with a body", "fix(source): keep the order\n\nBecause it matters.", ""},
		{"no type", "add threads", "expected"},
		{"unknown type", "feature: add threads", "expected"},
		{"full stop", "feat: add threads.", "expected"},
		{"too long", "feat: " + strings.Repeat("x", 70), "at most 72"},
		{"body without an empty line", "feat: add threads\nat once", "second line"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRepo(t)
			r.git("switch", "-q", "-c", "feature/x")
			out, err := r.try("commit", "-q", "--allow-empty", "-m", tt.message)
			if tt.want == "" {
				assert.NoError(t, err, out)
				return
			}
			assert.Error(t, err)
			assert.Contains(t, out, tt.want)
		})
	}
}

func TestHistory(t *testing.T) {
	history, err := filepath.Abs("../../.ci/history")
	require.NoError(t, err)
	check := func(r repo) (string, error) {
		cmd := exec.CommandContext(t.Context(), history)
		cmd.Dir = r.dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}

	r := newRepo(t)
	r.git("switch", "-q", "-c", "feature/x")
	r.git("commit", "-q", "--allow-empty", "-m", "feat: add x")
	r.git("switch", "-q", "main")
	r.git("merge", "-q", "--no-ff", "feature/x", "-m", "Merge feature/x: x")
	out, err := check(r)
	require.NoError(t, err, out)
	assert.Contains(t, out, "merges only")

	r.git("commit", "-q", "--allow-empty", "--no-verify", "-m", "feat: sneak in")
	out, err = check(r)
	assert.Error(t, err)
	assert.Contains(t, out, "sneak in")
}
