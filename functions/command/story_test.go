// Package command_test tells the stories that take several commands, over REST
// and one log, in processes of their own and in one.
package command_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/command/addmembers"
	"github.com/chat-platform/chat/functions/command/createchannel"
	"github.com/chat-platform/chat/functions/command/joinchannel"
	"github.com/chat-platform/chat/functions/command/leavechannel"
	"github.com/chat-platform/chat/functions/command/sendmessage"
	"github.com/chat-platform/chat/functions/command/sendmessages"
	"github.com/chat-platform/chat/functions/internal/fixtures"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/idempotency"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

// noView is a message view that nothing was written to.
type noView struct{}

func (noView) MessagesByID(context.Context, events.ChannelID, []events.MessageID) (map[events.MessageID]events.Message, error) {
	return nil, nil
}

// functions makes all commands of one process, by name.
func functions(log *nats.Log) map[string]*frontdoor.Function {
	members, options := membership.New(log), fixtures.Options()
	originals := idempotency.New(log, noView{}, log.DedupWindow())
	return map[string]*frontdoor.Function{
		"create": frontdoor.Command(createchannel.Spec, createchannel.New(log).Handle, options...),
		"join":   frontdoor.Command(joinchannel.Spec, joinchannel.New(log).Handle, options...),
		"add":    frontdoor.Command(addmembers.Spec, addmembers.New(log, members).Handle, options...),
		"leave":  frontdoor.Command(leavechannel.Spec, leavechannel.New(log, members).Handle, options...),
		"send":   frontdoor.Command(sendmessage.Spec, sendmessage.New(log, members, originals).Handle, options...),
		"batch":  frontdoor.Command(sendmessages.Spec, sendmessages.New(log, members, originals).Handle, options...),
	}
}

type step struct {
	function, user, method, path, body string
	status                             int
	code                               string // of the problem
}

// No step waits for anything but the answer before it.
var story = []step{
	{"send", "alice", "POST", "/v1/channels/ch_x/messages", `{"text":"too early"}`, 404, "channel_not_found"},
	{"create", "alice", "POST", "/v1/channels", `{"id":"ch_x","name":"X","visibility":"private"}`, 202, ""},
	{"send", "alice", "POST", "/v1/channels/ch_x/messages", `{"text":"alone"}`, 202, ""},
	{"send", "bob", "POST", "/v1/channels/ch_x/messages", `{"text":"not yet"}`, 403, "not_a_member"},
	{"join", "bob", "PUT", "/v1/channels/ch_x/members/me", ``, 403, "private_channel"},
	{"add", "alice", "POST", "/v1/channels/ch_x/members", `{"user_ids":["bob"]}`, 202, ""},
	{"join", "bob", "PUT", "/v1/channels/ch_x/members/me", ``, 200, ""},
	{"send", "bob", "POST", "/v1/channels/ch_x/messages", `{"text":"hi"}`, 202, ""},
	{"add", "bob", "POST", "/v1/channels/ch_x/members", `{"user_ids":["carol"]}`, 403, "not_an_owner"},
	{"batch", "bob", "POST", "/v1/messages/batch", `{"messages":[{"channel_id":"ch_x","text":"hi","client_id":"5b0f6a0e-3a5c-4a53-9d3c-0c1f2f6f1a02"}]}`, 202, ""},
	{"leave", "bob", "DELETE", "/v1/channels/ch_x/members/me", ``, 202, ""},
	{"send", "bob", "POST", "/v1/channels/ch_x/messages", `{"text":"still here?"}`, 403, "not_a_member"},
	{"batch", "bob", "POST", "/v1/messages/batch", `{"messages":[{"channel_id":"ch_x","text":"hi","client_id":"5b0f6a0e-3a5c-4a53-9d3c-0c1f2f6f1a03"}]}`, 403, "not_a_member"},
	{"join", "bob", "PUT", "/v1/channels/ch_x/members/me", ``, 403, "private_channel"},
	{"leave", "alice", "DELETE", "/v1/channels/ch_x/members/me", ``, 202, ""},
	{"add", "alice", "POST", "/v1/channels/ch_x/members", `{"user_ids":["bob"]}`, 403, "not_a_member"},
	{"join", "alice", "PUT", "/v1/channels/ch_x/members/me", ``, 202, ""},
	{"add", "alice", "POST", "/v1/channels/ch_x/members", `{"user_ids":["bob"]}`, 202, ""},
	{"send", "bob", "POST", "/v1/channels/ch_x/messages", `{"text":"back"}`, 202, ""},
}

func TestCommandsWorkBackToBack(t *testing.T) {
	fs := functions(natstest.Open(t))
	for i, s := range story {
		check(t, i, s, fs)
	}
}

// Only what is cached for up to a second, a membership that ended elsewhere, may
// differ between processes: there each question is asked by a new one.
func TestCommandsWorkBackToBackInProcessesOfTheirOwn(t *testing.T) {
	srv := natstest.Start(t)
	for i, s := range story {
		check(t, i, s, functions(natstest.Connect(t, srv)))
	}
}

func check(t *testing.T, i int, s step, fs map[string]*frontdoor.Function) {
	t.Helper()
	status, body := fixtures.REST(t, fs[s.function], fixtures.Token(s.user), s.method, s.path, s.body)
	require.Equal(t, s.status, status, "step %d: %s by %s: %s", i, s.function, s.user, body)
	if s.status >= http.StatusBadRequest {
		var p frontdoor.Problem
		require.NoError(t, json.Unmarshal(body, &p))
		require.Equal(t, s.code, p.Code, "step %d", i)
		require.NotEmpty(t, p.RequestID)
	}
}
