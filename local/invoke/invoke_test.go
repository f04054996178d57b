package invoke_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/local/invoke"
)

const root = "../.."

// binaries is where all tests build into, so that a function is linked once.
var binaries string

func TestMain(m *testing.M) {
	var err error
	if binaries, err = os.MkdirTemp("", "chat-invoke-test-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(binaries)
	os.Exit(code)
}

// buffer is written to while it is read.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func run(t *testing.T, cfg invoke.Config) string {
	t.Helper()
	var out, log buffer
	cfg.Root, cfg.Binaries = root, binaries
	require.NoError(t, invoke.Run(t.Context(), cfg, &out, &log), log.String())
	return out.String()
}

// A command's answer and what it published, in every mode.
func TestCommand(t *testing.T) {
	for mode, answer := range map[string][]string{
		"structured": {"Content-Type: application/cloudevents+json", `"type": "chat.command.createchannel.v1.answer"`},
		"binary":     {"Ce-Type: chat.command.createchannel.v1.answer", "Ce-Id: evt_", "Content-Type: application/json"},
		"batch":      {"Content-Type: application/cloudevents-batch+json", `"type": "chat.command.createchannel.v1.answer"`},
	} {
		t.Run(mode, func(t *testing.T) {
			said := run(t, invoke.Config{Function: "createchannel", Event: "ok", Mode: mode})
			for _, want := range append(answer, mode+" mode, as alice", "answer: 200 OK", `"name": "Bücher"`,
				"published to channels.ch_books (METADATA)", "published to members.ch_books.alice (METADATA)") {
				assert.Contains(t, said, want)
			}
		})
	}
}

// Every fixture of a function gets the answer that its golden file states.
func TestGoldenAnswers(t *testing.T) {
	for _, f := range []struct{ kind, name string }{{"command", "createchannel"}, {"query", "channelhistory"}} {
		folder := filepath.Join(root, "functions", f.kind, f.name, "testdata")
		files, err := filepath.Glob(filepath.Join(folder, "*.json"))
		require.NoError(t, err)
		seen := 0
		for _, file := range files {
			event := strings.TrimSuffix(filepath.Base(file), ".json")
			if event == "given" || strings.Contains(event, ".") {
				continue
			}
			golden, want := filepath.Join(folder, event+".answer.json"), "answer: 200 OK"
			if _, err := os.Stat(golden); err != nil {
				golden, want = filepath.Join(folder, event+".problem.json"), ""
			}
			seen++
			t.Run(f.name+"/"+event, func(t *testing.T) {
				t.Parallel()
				said := run(t, invoke.Config{Function: f.name, Event: event, Mode: "structured"})
				assert.Contains(t, said, want)
				_, rest, _ := strings.Cut(said, "answer: ")
				begin, end := strings.Index(rest, "\n{"), strings.Index(rest, "\n}\n")
				require.Positive(t, end, said)
				b, err := os.ReadFile(golden)
				require.NoError(t, err)
				var wanted, got any
				require.NoError(t, json.Unmarshal(b, &wanted))
				require.NoError(t, json.Unmarshal([]byte(rest[begin:end+2]), &got))
				alike(t, "", wanted, got)
			})
		}
		assert.Positive(t, seen)
	}
}

// alike compares with a golden document, in which "<now>" and its like stand for
// what differs from run to run.
func alike(t *testing.T, at string, want, got any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		require.True(t, ok, at)
		for k := range want {
			alike(t, at+"."+k, want[k], got[k])
		}
	case []any:
		got, ok := got.([]any)
		require.True(t, ok, at)
		require.Len(t, got, len(want), at)
		for i := range want {
			alike(t, at+"[]", want[i], got[i])
		}
	case string:
		if !strings.HasPrefix(want, "<") {
			assert.Equal(t, want, got, at)
		}
	default:
		assert.Equal(t, want, got, at)
	}
}

// Who calls is the fixture's affair, or that of -as.
func TestCaller(t *testing.T) {
	said := run(t, invoke.Config{Function: "createchannel", Event: "unauthenticated", Mode: "binary"})
	for _, want := range []string{"binary mode, without a token", "answer: 401", "Www-Authenticate: Bearer", "published: nothing"} {
		assert.Contains(t, said, want)
	}
	said = run(t, invoke.Config{Function: "createchannel", Event: "unauthenticated", Mode: "structured", As: "zoe"})
	assert.Contains(t, said, "as zoe")
	assert.Contains(t, said, `"created_by": "zoe"`)
	said = run(t, invoke.Config{Function: "addmembers", Event: "imported", Mode: "structured"})
	assert.Contains(t, said, "with the role chat-import")
	assert.Contains(t, said, "answer: 200 OK")
	assert.Contains(t, said, "published to members.")
}

// A writer asks for no token and stores in a folder that is gone afterwards.
func TestWriter(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	for _, mode := range []string{"structured", "binary", "batch"} {
		said := run(t, invoke.Config{Function: "messagewriter", Event: "ok", Mode: mode, As: "nobody asks"})
		assert.Contains(t, said, "("+mode+" mode)")
		assert.Contains(t, said, "answer: 200 OK")
		assert.Regexp(t, `stored in messages.db .*:\n  ch_general 1:`, said)
	}
	said := run(t, invoke.Config{Function: "messagewriter", Event: "empty_text", Mode: "structured"})
	assert.Contains(t, said, "answer: 400")
	assert.Contains(t, said, "by channel): nothing")
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	assert.Empty(t, left)
}

var listens = regexp.MustCompile(`listens on (http://127\.0\.0\.1:\d+);`)

// serve starts a function that stays, and gives its address, its output so far,
// what ends it and what waits for it to end by itself.
func serve(t *testing.T, cfg invoke.Config) (url string, out *buffer, stop func() error, wait func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out = &buffer{}
	ended := make(chan error, 1)
	cfg.Serve = true
	if cfg.Root == "" {
		cfg.Root, cfg.Binaries = root, binaries
	}
	go func() { ended <- invoke.Run(ctx, cfg, out, out) }()
	wait = sync.OnceValue(func() error { return <-ended })
	stop = func() error {
		cancel()
		return wait()
	}
	t.Cleanup(func() { _ = stop() })
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "Ctrl-C ends it") }, time.Minute, 10*time.Millisecond, "it does not listen")
	found := listens.FindStringSubmatch(out.String())
	require.NotNil(t, found, out.String())
	return found[1], out, stop, wait
}

// A client of the CloudEvents SDK knows of no tokens; the proxy adds them.
func TestServeToTheSDK(t *testing.T) {
	url, out, stop, _ := serve(t, invoke.Config{Function: "createchannel", Event: "ok", Mode: "structured"})
	client, err := cloudevents.NewClientHTTP(cloudevents.WithTarget(url))
	require.NoError(t, err)
	for _, mode := range []struct {
		name, channel string
		in            func(context.Context) context.Context
	}{
		{"binary", "ch_one", binding.WithForceBinary}, {"structured", "ch_two", binding.WithForceStructured},
	} {
		e := cloudevents.NewEvent()
		e.SetID("sdk-" + mode.name)
		e.SetSource("/test")
		e.SetType("chat.command.createchannel.v1")
		require.NoError(t, e.SetData(cloudevents.ApplicationJSON, map[string]string{"id": mode.channel, "name": "Of the SDK"}))
		answer, result := client.Request(mode.in(t.Context()), e)
		require.True(t, cloudevents.IsACK(result), "%s: %v", mode.name, result)
		require.NotNil(t, answer, mode.name)
		assert.Equal(t, "chat.command.createchannel.v1.answer", answer.Type())
		assert.Contains(t, string(answer.Data()), `"created_by":"alice"`)
		require.Eventually(t, func() bool {
			return strings.Contains(out.String(), "published to channels."+mode.channel)
		}, time.Minute, 10*time.Millisecond, out.String())
	}
	require.NoError(t, stop(), "Ctrl-C is a good end")
}

// Writers get from the proxy what the source would send.
func TestServeWriter(t *testing.T) {
	url, out, stop, _ := serve(t, invoke.Config{Function: "messagewriter", Event: "ok", Mode: "structured"})
	fixture, err := os.ReadFile(filepath.Join(root, "functions/writer/messagewriter/testdata/ok.json"))
	require.NoError(t, err)
	want, err := events.ParseJSON(fixture)
	require.NoError(t, err)
	client, err := cloudevents.NewClientHTTP(cloudevents.WithTarget(url))
	require.NoError(t, err)
	e := cloudevents.NewEvent()
	e.SetID("sdk")
	e.SetSource("/test")
	e.SetType(want.Type)
	require.NoError(t, e.SetData(cloudevents.ApplicationJSON, json.RawMessage(want.Data)))
	require.True(t, cloudevents.IsACK(client.Send(t.Context(), e)))
	assert.Regexp(t, `stored in messages.db .*:\n  ch_general 1:`, out.String())

	e.SetType("chat.other.v1")
	require.False(t, cloudevents.IsACK(client.Send(t.Context(), e)), "only the fixture's type is completed")
	require.NoError(t, stop())
}

// odd makes a repository of one function that is ready and dies of its first event.
func odd(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                                 "module odd\n\ngo 1.25\n",
		"functions/command/odd/testdata/ok.json": `{"specversion":"1.0","id":"1","source":"/t","type":"t"}`,
		"functions/cmd/odd/main.go": `package main

import ("net/http"; "os")

func main() {
	http.HandleFunc("GET /health/readiness", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("POST /", func(http.ResponseWriter, *http.Request) { os.Exit(3) })
	http.ListenAndServe(os.Getenv("LISTEN_ADDRESS")+":"+os.Getenv("PORT"), nil)
}
`,
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return dir
}

// A function that dies ends the serving, with an error that says so.
func TestServeEndsWithTheFunction(t *testing.T) {
	cfg := invoke.Config{Root: odd(t), Function: "odd", Event: "ok", Mode: "structured"}
	var out, log buffer
	require.ErrorContains(t, invoke.Run(t.Context(), cfg, &out, &log), "EOF")

	url, said, _, wait := serve(t, cfg)
	assert.Contains(t, said.String(), "it adds no token")
	// The proxy ends with the function: the caller may still get its 502, or no
	// answer any more.
	if res, err := http.Post(url, "application/json", nil); err == nil {
		require.NoError(t, res.Body.Close())
		assert.Equal(t, http.StatusBadGateway, res.StatusCode)
	}
	require.ErrorContains(t, wait(), "the function has ended: exit status 3")
}

// A function that its own settings refuse is not waited for.
func TestFunctionThatDoesNotStart(t *testing.T) {
	t.Setenv("DRAIN_TIMEOUT", "soon")
	var out, log buffer
	err := invoke.Run(t.Context(), invoke.Config{Root: root, Binaries: binaries, Function: "createchannel", Event: "ok", Mode: "structured"}, &out, &log)
	require.ErrorContains(t, err, "the function has ended")
	assert.Contains(t, log.String(), "DRAIN_TIMEOUT")
}

// A port that another process takes first is no reason to give up: the function
// is started once more on another one.
func TestATakenPortIsNotTheEnd(t *testing.T) {
	dir := odd(t)
	once := filepath.Join(t.TempDir(), "once")
	program := `package main

import ("fmt"; "net/http"; "os")

func main() {
	if _, err := os.Stat(` + "`" + once + "`" + `); err != nil {
		_ = os.WriteFile(` + "`" + once + "`" + `, nil, 0o600)
		fmt.Fprintf(os.Stderr, "odd: port %s is in use by another process\n", os.Getenv("PORT"))
		os.Exit(1)
	}
	http.HandleFunc("GET /health/readiness", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("POST /", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "second try") })
	http.ListenAndServe(os.Getenv("LISTEN_ADDRESS")+":"+os.Getenv("PORT"), nil)
}
`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "functions/cmd/odd/main.go"), []byte(program), 0o600))
	var out, log buffer
	require.NoError(t, invoke.Run(t.Context(), invoke.Config{Root: dir, Function: "odd", Event: "ok", Mode: "structured"}, &out, &log))
	assert.Contains(t, out.String(), "second try")
	assert.Contains(t, log.String(), "is in use")
}
