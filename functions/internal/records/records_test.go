package records_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/records"
	"github.com/chat-platform/chat/functions/internal/tail/tailtest"
)

func sent(seq uint64, channel events.ChannelID, text string) events.Event {
	log := &tailtest.Log{}
	m := log.Send(seq, channel, "ann", text)
	return log.Put(seq+1, events.TypeMessageSent, events.MessageSubject(channel), m.MessageSent)
}

func at(e events.Event, seq uint64) events.Event {
	e.Sequence = seq
	return e
}

func TestMessagesKeepTheLowestSequenceOfAnID(t *testing.T) {
	a, b := sent(1, "ch_1", "a"), sent(1, "ch_1", "b")
	got, err := records.Messages([]events.Event{at(a, 9), at(b, 3), at(a, 4), at(a, 12), at(b, 3)})
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, "a", got[0].Text)
	require.Equal(t, uint64(4), got[0].Seq)
	require.Equal(t, "b", got[1].Text)
	require.Equal(t, uint64(3), got[1].Seq)
}

func TestMessagesNameEveryEventThatIsRefused(t *testing.T) {
	good := sent(1, "ch_1", "good")
	bad := map[string]struct {
		change func(*events.Event)
		code   string
	}{
		"no sequence": {func(e *events.Event) { e.Sequence = 0 }, "missing_sequence"},
		"not JSON":    {func(e *events.Event) { e.Data = []byte("{") }, "invalid_payload"},
		"no data":     {func(e *events.Event) { e.Data = nil }, "invalid_payload"},
		"empty text": {func(e *events.Event) {
			e.Data = []byte(`{"id":"msg_aaaaaaaaaaaaaaaaaaaaaaaaaa","channel_id":"ch_1","author_id":"a"}`)
		}, "empty_message"},
		"another channel's":      {func(e *events.Event) { e.Subject = "messages.send.ch_2" }, "subject_mismatch"},
		"another stream's event": {func(e *events.Event) { e.Type, e.Subject = events.TypeMemberLeft, "members.ch_1.ann" }, "unexpected_event"},
		"unknown and homeless":   {func(e *events.Event) { e.Type, e.Subject = "chat.other.v1", "" }, "unexpected_event"},
	}
	for name, c := range bad {
		t.Run(name, func(t *testing.T) {
			e := good
			e.ID = "evt_culprit"
			c.change(&e)
			got, err := records.Messages([]events.Event{good, e, good, e})
			require.Nil(t, got)
			require.ErrorIs(t, err, events.ErrInvalid)
			require.True(t, events.IsPermanent(err))
			require.ErrorContains(t, err, "evt_culprit")
			var faults events.Faults
			require.ErrorAs(t, err, &faults)
			require.Len(t, faults, 2)
			require.Equal(t, []int{1, 3}, []int{faults[0].Index, faults[1].Index})
			require.Equal(t, c.code, faults[0].Code)
		})
	}
}

func TestOtherTypesOfTheStreamArePassedOver(t *testing.T) {
	e := sent(1, "ch_1", "x")
	e.Type, e.Subject, e.Data = "chat.message.edited.v1", "messages.edit.ch_1", []byte(`"?"`)
	got, err := records.Messages([]events.Event{e})
	require.NoError(t, err)
	require.Empty(t, got)

	e.Type, e.Subject = "chat.user.renamed.v1", "users.ann"
	cs, ms, err := records.Metadata([]events.Event{e})
	require.NoError(t, err)
	require.Empty(t, cs)
	require.Empty(t, ms)
}

func TestMadeByHandWithoutASubject(t *testing.T) {
	e := sent(1, "ch_1", "x")
	e.Subject = ""
	got, err := records.Messages([]events.Event{e})
	require.NoError(t, err)
	require.Len(t, got, 1)
}

// metadata is a log of two channels and some comings and goings.
func metadata() (batch []events.Event, cs []events.Channel, ms []events.Member) {
	log := &tailtest.Log{}
	a, b := log.Create("ch_a", events.Public, "ann"), log.Create("ch_b", events.Private, "bob")
	log.Join("ch_a", "ann", events.RoleMember)
	log.Leave("ch_a", "ann")
	ann := log.Join("ch_a", "ann", events.RoleOwner)
	log.Join("ch_a", "bob", events.RoleMember)
	bob := log.Leave("ch_a", "bob")
	for _, filter := range []string{"channels.*", "members.*.*"} {
		es, err := log.Tail(context.Background(), filter, 1, 100)
		if err != nil {
			panic(err)
		}
		batch = append(batch, es...)
	}
	return batch, []events.Channel{a, b}, []events.Member{ann, bob}
}

func TestMetadataKeepsTheHighestSequenceInAnyOrder(t *testing.T) {
	batch, wantChannels, wantMembers := metadata()
	batch = append(batch, batch...)
	for seed := range uint64(20) {
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
		cs, ms, err := records.Metadata(batch)
		require.NoError(t, err)
		require.ElementsMatch(t, wantChannels, cs)
		require.ElementsMatch(t, wantMembers, ms)
	}
}

func TestMetadataNamesEveryEventThatIsRefused(t *testing.T) {
	batch, _, _ := metadata()
	for name, c := range map[string]struct {
		index  int
		change func(*events.Event)
		code   string
	}{
		"channel without sequence":    {0, func(e *events.Event) { e.Sequence = 0 }, "missing_sequence"},
		"channel of another subject":  {0, func(e *events.Event) { e.Subject = "channels.ch_z" }, "subject_mismatch"},
		"channel without payload":     {0, func(e *events.Event) { e.Data = []byte(`{}`) }, "missing_channel_id"},
		"join of another user":        {2, func(e *events.Event) { e.Subject = "members.ch_a.bob" }, "subject_mismatch"},
		"join that is no JSON":        {2, func(e *events.Event) { e.Data = []byte(`[]`) }, "invalid_payload"},
		"leave without sequence":      {3, func(e *events.Event) { e.Sequence = 0 }, "missing_sequence"},
		"message in the wrong stream": {3, func(e *events.Event) { e.Type, e.Subject = events.TypeMessageSent, "messages.send.ch_a" }, "unexpected_event"},
	} {
		t.Run(name, func(t *testing.T) {
			es := append([]events.Event(nil), batch...)
			c.change(&es[c.index])
			cs, ms, err := records.Metadata(es)
			require.Nil(t, cs)
			require.Nil(t, ms)
			require.ErrorIs(t, err, events.ErrInvalid)
			var faults events.Faults
			require.ErrorAs(t, err, &faults)
			require.Len(t, faults, 1)
			require.Equal(t, c.index, faults[0].Index)
			require.Equal(t, c.code, faults[0].Code)
			require.Contains(t, faults[0].Detail, es[c.index].ID)
		})
	}
}

func FuzzRecords(f *testing.F) {
	batch, _, _ := metadata()
	for _, e := range append(batch, sent(1, "ch_1", "hello")) {
		f.Add(e.Type, e.Subject, e.Sequence, e.Data)
	}
	f.Fuzz(func(t *testing.T, typ, subject string, seq uint64, data []byte) {
		e := events.Event{ID: "evt_1", Source: "/test", Type: typ, Subject: subject, Sequence: seq, Data: data}
		ms, err := records.Messages([]events.Event{e})
		if err != nil {
			require.ErrorIs(t, err, events.ErrInvalid)
		}
		for _, m := range ms {
			require.NoError(t, m.Validate())
			require.Equal(t, seq, m.Seq)
			_, err := json.Marshal(m)
			require.NoError(t, err)
		}
		cs, members, err := records.Metadata([]events.Event{e})
		if err != nil {
			require.ErrorIs(t, err, events.ErrInvalid)
		}
		for _, c := range cs {
			require.NoError(t, c.Validate())
		}
		for _, m := range members {
			require.NotEmpty(t, m.ChannelID)
			require.NotZero(t, m.Seq)
		}
	})
}
