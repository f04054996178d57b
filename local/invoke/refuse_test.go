package invoke_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/local/invoke"
)

func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  invoke.Config
		says []string
	}{
		{"no function", invoke.Config{Root: root, Event: "ok", Mode: "binary"}, []string{"no function is named", "addmembers, channelhistory, createchannel"}},
		{"unknown function", invoke.Config{Root: root, Function: "fly", Event: "ok", Mode: "binary"}, []string{`"fly"`, "messagewriter, metadatawriter"}},
		{"a folder that is no function", invoke.Config{Root: root, Function: "fixtures", Event: "ok", Mode: "binary"}, []string{`"fixtures"`}},
		{"a path", invoke.Config{Root: root, Function: "../command/sendmessage", Event: "ok", Mode: "binary"}, []string{"there is no function"}},
		{"unknown fixture", invoke.Config{Root: root, Function: "sendmessage", Event: "given", Mode: "binary"}, []string{`"given"`, "not_a_member, ok"}},
		{"golden file", invoke.Config{Root: root, Function: "sendmessage", Event: "ok.answer", Mode: "binary"}, []string{"sendmessage has no fixture"}},
		{"unknown mode", invoke.Config{Root: root, Function: "sendmessage", Event: "ok", Mode: "telepathy"}, []string{"telepathy", "structured, binary, batch"}},
		{"no repository", invoke.Config{Root: os.TempDir() + "/nowhere", Function: "sendmessage", Event: "ok", Mode: "binary"}, []string{"nowhere", "-root"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, log buffer
			err := invoke.Run(t.Context(), tt.cfg, &out, &log)
			require.ErrorIs(t, err, events.ErrInvalid)
			for _, want := range tt.says {
				assert.ErrorContains(t, err, want)
			}
			assert.NotContains(t, err.Error(), "\n")
			assert.Empty(t, out.String())
		})
	}
}

// Fixtures that are wrong are named.
func TestBadFixtures(t *testing.T) {
	const event = `{"specversion":"1.0","id":"1","source":"/t","type":"t"`
	for _, tt := range []struct{ name, ok, given, says string }{
		{"no event", `{}`, "", "specversion"},
		{"claims are no JSON", event + `,"authtype":"user","authid":"a","authclaims":"root"}`, "", "authclaims"},
		{"claims are no text", event + `,"authclaims":{}}`, "", "authclaims"},
		{"unknown role", event + `,"authtype":"user","authid":"a","authclaims":"{\"roles\":[\"king\"]}"}`, "", `"king"`},
		{"given is no batch", event + `}`, `{}`, "given.json"},
		{"given is refused", event + `}`, `[{"specversion":"1.0","id":"2","source":"/t","type":"chat.message.sent.v1","subject":"messages.send.ch_a"}]`, "refuses 1"},
		{"no main", event + `}`, "", "build"},
		{"given cannot be published", event + `}`, `[` + event + `,"subject":"nowhere.at.all"}]`, "given.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			testdata := filepath.Join(dir, "functions", "command", "odd", "testdata")
			require.NoError(t, os.MkdirAll(testdata, 0o750))
			require.NoError(t, os.WriteFile(filepath.Join(testdata, "ok.json"), []byte(tt.ok), 0o600))
			if tt.given != "" {
				require.NoError(t, os.WriteFile(filepath.Join(testdata, "given.json"), []byte(tt.given), 0o600))
			}
			var out, log buffer
			err := invoke.Run(t.Context(), invoke.Config{Root: dir, Function: "odd", Event: "ok", Mode: "structured"}, &out, &log)
			require.ErrorContains(t, err, tt.says)
		})
	}
}
