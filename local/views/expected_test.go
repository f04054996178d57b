package views_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/local/views"
)

// What is expected of a view is what its store holds in the end.
func TestExpected(t *testing.T) {
	var seq uint64
	put := func(typ, subject string, payload any) events.Event {
		data, err := json.Marshal(payload)
		require.NoError(t, err)
		seq++
		return events.Event{ID: fmt.Sprint("evt_", seq), Source: "/test", Type: typ, Subject: subject, Data: data, Sequence: seq}
	}
	var messages, metadata []events.Event
	for i := range 20 {
		e := message(t, "ann", fmt.Sprint("number ", i))
		seq++
		e.Sequence = seq
		messages = append(messages, e)
	}
	for _, i := range []int{3, 3, 17} { // the same messages again, later
		e := messages[i]
		seq++
		e.Sequence = seq
		messages = append(messages, e)
	}
	poison := message(t, "ann", "")
	poison.Sequence = 999
	messages = append(messages, poison)
	metadata = append(metadata, put(events.TypeChannelCreated, events.ChannelSubject("ch_a"), events.ChannelCreated{ID: "ch_a", Name: "A", Visibility: events.Public, CreatedBy: "ann"}))
	for i := range 30 {
		user := events.UserID(fmt.Sprint("user ", i%7))
		typ, payload := events.TypeMemberJoined, any(events.MemberJoined{ChannelID: "ch_a", UserID: user, Role: events.RoleMember})
		if i%3 == 2 {
			typ, payload = events.TypeMemberLeft, events.MemberLeft{ChannelID: "ch_a", UserID: user}
		}
		metadata = append(metadata, put(typ, events.MemberSubject("ch_a", user), payload))
	}
	for _, v := range views.All() {
		batch, refuses := messages, 1
		if v.Name == "metadata" {
			batch, refuses = metadata, 0
		}
		store, write, err := v.Generation(t.Context(), views.Embedded(t.TempDir()), stores.Host{}, 1)
		require.NoError(t, err)
		defer store.Close()
		e := v.Expect()
		for _, half := range [][]events.Event{batch[:len(batch)/2], batch[len(batch)/2:]} {
			refused, err := views.Apply(t.Context(), write, half)
			require.NoError(t, err)
			again, err := e.Add(t.Context(), half)
			require.NoError(t, err)
			require.Equal(t, refused, again)
			refuses -= refused
		}
		require.Zero(t, refuses)
		got, err := store.Checksums(t.Context(), stores.All)
		require.NoError(t, err)
		require.NotEmpty(t, got)
		require.Equal(t, got, e.Sums(), v.Name)
	}
}

func TestNamed(t *testing.T) {
	all, err := views.Named("all")
	require.NoError(t, err)
	require.Len(t, all, 3)
	one, err := views.Named("search")
	require.NoError(t, err)
	require.Len(t, one, 1)
	require.Equal(t, events.ConsumerSearch, one[0].Consumer)
	_, err = views.Named("everything")
	require.ErrorIs(t, err, events.ErrInvalid)
	require.NoError(t, views.Config{}.Validate())
	bad := views.Config{}
	bad.Search.Store = "grep"
	require.ErrorContains(t, bad.Validate(), "STORE_SEARCH")
}
