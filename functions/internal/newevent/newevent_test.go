package newevent_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/newevent"
)

const channel, user = events.ChannelID("ch_general"), events.UserID("al ice")

func traced(t *testing.T) context.Context {
	t.Helper()
	return trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled,
	}))
}

func TestAttributes(t *testing.T) {
	make := newevent.From(traced(t), "sendmessage")
	at := newevent.Now()
	require.Equal(t, at, at.UTC().Truncate(time.Millisecond))
	message := events.MessageSent{ID: events.NewMessageID(user, channel, "c"), ChannelID: channel, AuthorID: user, Text: "hi", SentAt: at}
	e, err := make.MessageSent(message, at)
	require.NoError(t, err)
	require.NoError(t, e.Validate())
	require.Equal(t, "/functions/sendmessage", e.Source)
	require.Equal(t, events.TypeMessageSent, e.Type)
	require.Equal(t, "messages.send.ch_general", e.Subject)
	require.Equal(t, "ch_general", e.PartitionKey)
	require.Equal(t, "00-01000000000000000000000000000000-0200000000000000-01", e.TraceParent)
	require.Equal(t, at, e.Time)
	got, err := events.MessageOf(e)
	require.NoError(t, err)
	require.Equal(t, message, got.MessageSent)

	e, err = make.MemberLeft(events.MemberLeft{ChannelID: channel, UserID: user, At: at}, 3)
	require.NoError(t, err)
	require.Equal(t, "members.ch_general.al%20ice", e.Subject)
	e, err = make.ChannelCreated(events.ChannelCreated{ID: channel, CreatedAt: at})
	require.NoError(t, err)
	require.Equal(t, "channels.ch_general", e.Subject)
	e, err = newevent.From(t.Context(), "x").ChannelCreated(events.ChannelCreated{ID: channel})
	require.NoError(t, err)
	require.Empty(t, e.TraceParent, "no trace, no traceparent")
}

func TestIDsNameTheDeed(t *testing.T) {
	make := newevent.From(t.Context(), "f")
	id := func(e events.Event, err error) string {
		t.Helper()
		require.NoError(t, err)
		return e.ID
	}
	joined := func(u events.UserID, r events.Role, after uint64, at time.Time) string {
		return id(make.MemberJoined(events.MemberJoined{ChannelID: channel, UserID: u, Role: r, At: at}, after))
	}
	left := func(after uint64) string {
		return id(make.MemberLeft(events.MemberLeft{ChannelID: channel, UserID: user}, after))
	}
	created := func(by events.UserID, name string) string {
		return id(make.ChannelCreated(events.ChannelCreated{ID: channel, CreatedBy: by, Name: name}))
	}
	now := newevent.Now()
	first := joined(user, events.RoleMember, 0, now)
	require.Equal(t, first, joined(user, events.RoleMember, 0, now.Add(time.Hour)), "a retry is the same deed")
	require.Equal(t, created(user, "a"), created(user, "b"), "a retry is the same deed")
	distinct := []string{first, joined(user, events.RoleMember, 7, now), joined(user, events.RoleOwner, 0, now),
		joined("bob", events.RoleMember, 0, now), left(0), left(7), created(user, "a"), created("bob", "a")}
	seen := map[string]bool{}
	for i, d := range distinct {
		require.False(t, seen[d], "deed %d has the id of another", i)
		seen[d] = true
	}
	require.Equal(t, "evt_abc", newevent.MessageEventID("msg_abc"))
}
