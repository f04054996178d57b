package idempotency_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/fixtures"
	"github.com/chat-platform/chat/functions/internal/idempotency"
	"github.com/chat-platform/chat/functions/internal/newevent"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

const window = 2 * time.Minute

func TestKey(t *testing.T) {
	const id, other = "5b0f6a0e-3a5c-4a53-9d3c-0c1f2f6f1a01", "5b0f6a0e-3a5c-4a53-9d3c-0c1f2f6f1a02"
	hashed, err := events.ClientIDOf("order 66")
	require.NoError(t, err)
	for _, r := range []struct {
		name, body, header string
		want               events.ClientID
		code               string
	}{
		{"neither", "", "", "", ""},
		{"body", id, "", id, ""},
		{"header", "", id, id, ""},
		{"header in capitals", "", "5B0F6A0E-3A5C-4A53-9D3C-0C1F2F6F1A01", id, ""},
		{"free-form header", "", "order 66", hashed, ""},
		{"both alike", id, id, id, ""},
		{"both, free-form", string(hashed), "order 66", hashed, ""},
		{"both, different", id, other, "", "client_id_conflict"},
		{"body no UUID", "order 66", "", "", "invalid_client_id"},
		{"body no UUID, header good", "order 66", id, "", "invalid_client_id"},
		{"header too long", "", string(make([]byte, 256)), "", "invalid_idempotency_key"},
	} {
		t.Run(r.name, func(t *testing.T) {
			got, err := idempotency.Key(t.Context(), r.body, r.header)
			if r.code == "" {
				require.NoError(t, err)
				require.Equal(t, r.want, got)
				return
			}
			requireCode(t, err, events.ErrInvalid, r.code)
		})
	}
}

func requireCode(t *testing.T, err, kind error, code string) {
	t.Helper()
	var fault *events.Fault
	require.ErrorAs(t, err, &fault)
	require.ErrorIs(t, err, kind)
	require.Equal(t, code, fault.Code)
}

// madeAt is a UUID of version 7 with that time.
func madeAt(at time.Time) events.ClientID {
	u := uuid.Must(uuid.NewV7())
	for i, ms := 5, at.UnixMilli(); i >= 0; i, ms = i-1, ms>>8 {
		u[i] = byte(ms)
	}
	return events.ClientID(u.String())
}

func TestFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := idempotency.New(nil, nil, window)
		for age, want := range map[time.Duration]bool{
			-60 * time.Second: true, 0: true, 41 * time.Second: true, 42 * time.Second: false, time.Hour: false,
		} {
			fresh, err := o.Fresh(madeAt(time.Now().Add(-age)))
			require.NoError(t, err, age)
			assert.Equal(t, want, fresh, "age %s", age)
		}
		fresh, err := o.Fresh(events.ClientID(uuid.NewString()))
		require.NoError(t, err)
		assert.False(t, fresh, "a UUID of version 4 tells no time")
		_, err = o.Fresh(madeAt(time.Now().Add(61 * time.Second)))
		requireCode(t, err, events.ErrInvalid, "client_id_in_future")

		o = o.Restored(time.Now().Add(-80 * time.Second)) // the ids of what was restored are not known
		for age, want := range map[time.Duration]bool{0: true, 20 * time.Second: true, 21 * time.Second: false, 41 * time.Second: false} {
			fresh, err := o.Fresh(madeAt(time.Now().Add(-age)))
			require.NoError(t, err, age)
			assert.Equal(t, want, fresh, "age %s, restored 80 s ago, by a clock that may be 60 s ahead", age)
		}
	})
}

// The promise in one sentence: whenever an id is accepted first, and whenever it
// is fresh again, the log's window still covers the first time, with the clocks
// of two servers apart and the publish delayed by as much as is allowed.
func TestFreshIsWithinTheWindowWhateverTheClocks(t *testing.T) {
	for _, window := range []time.Duration{100 * time.Millisecond, 10 * time.Second, 2 * time.Minute, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			o := idempotency.New(nil, nil, window)
			ctx, cancel := o.Within(t.Context())
			defer cancel()
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			margin := time.Until(deadline)
			made := time.Now().Add(window) // by the client's clock, which may be far ahead
			id := madeAt(made)
			made, _ = id.Time()
			var first, last time.Time
			for step := window / 50; time.Now().Before(made.Add(2 * window)); <-time.After(step) {
				fresh, err := o.Fresh(id)
				if err == nil && first.IsZero() {
					first = time.Now()
				}
				if fresh {
					last = time.Now()
				}
			}
			require.False(t, last.IsZero(), "never fresh")
			// The first server's clock is ahead, the second one's is behind.
			stored, again := first.Add(-margin), last.Add(margin).Add(margin)
			require.Less(t, again.Sub(stored), window)
		})
	}
}

type view map[events.MessageID]events.Message

func (v view) MessagesByID(_ context.Context, channel events.ChannelID, ids []events.MessageID) (map[events.MessageID]events.Message, error) {
	found := map[events.MessageID]events.Message{}
	for _, id := range ids {
		if m, ok := v[id]; ok && m.ChannelID == channel {
			found[id] = m
		}
	}
	return found, nil
}

// log serves look-ups from memory.
type log struct {
	events  []events.Event
	applied uint64
	err     error
	tails   []string
	then    func(*log) // after each answer of Applied
}

func (l *log) Applied(_ context.Context, stream, consumer string) (uint64, error) {
	if stream != events.StreamMessages || consumer != events.ConsumerMessages {
		return 0, fmt.Errorf("asked for %s of %s", consumer, stream)
	}
	if l.err == nil && l.applied == 0 {
		return 0, events.ErrNotFound
	}
	if l.then != nil {
		defer l.then(l)
	}
	return l.applied, l.err
}

func (l *log) Tail(_ context.Context, subject string, from uint64, limit int) ([]events.Event, error) {
	l.tails = append(l.tails, subject)
	var es []events.Event
	for _, e := range l.events {
		if e.Sequence >= from && len(es) < limit && (subject == "messages.>" || subject == e.Subject) {
			es = append(es, e)
		}
	}
	return es, nil
}

func sent(tb testing.TB, seq uint64, channel events.ChannelID, text string, age time.Duration) (events.Message, events.Event) {
	tb.Helper()
	client := events.NewClientID()
	m := events.Message{Seq: seq, MessageSent: events.MessageSent{ID: events.NewMessageID("u", channel, client), ChannelID: channel,
		AuthorID: "u", Text: text, ClientID: client, SentAt: newevent.Now().Add(-age)}}
	e, err := newevent.From(tb.Context(), "test").MessageSent(m.MessageSent, m.SentAt)
	require.NoError(tb, err)
	e.Sequence = seq
	return m, e
}

func wanted(ms ...events.Message) map[events.ChannelID][]events.MessageID {
	w := map[events.ChannelID][]events.MessageID{}
	for _, m := range ms {
		w[m.ChannelID] = append(w[m.ChannelID], m.ID)
	}
	return w
}

func TestFind(t *testing.T) {
	a, ea := sent(t, 1, "ch_a", "old, applied", time.Hour)
	b, eb := sent(t, 2, "ch_b", "old, not applied", 3*time.Minute)
	c, ec := sent(t, 3, "ch_a", "young, not applied", time.Second)
	none, _ := sent(t, 0, "ch_a", "never sent", 0)
	all := []events.Event{ea, eb, ec}
	for _, r := range []struct {
		name    string
		view    view
		applied uint64
		want    []events.Message
		tails   []string // channels' tails that have to be read
	}{
		{"all applied", view{a.ID: a, b.ID: b, c.ID: c}, 3, []events.Message{a, b, c}, nil},
		{"what the window covers is not applied", view{a.ID: a, b.ID: b}, 2, []events.Message{a, b}, nil},
		{"behind by more than the window", view{a.ID: a}, 1, []events.Message{a, b, c}, []string{"messages.send.ch_a", "messages.send.ch_b"}},
		{"nothing applied yet, no consumer", view{}, 0, []events.Message{a, b, c}, []string{"messages.send.ch_a", "messages.send.ch_b"}},
		{"applied before the view's answer", view{a.ID: a, b.ID: b, c.ID: c}, 1, []events.Message{a, b, c}, []string{"messages.send.ch_a"}},
	} {
		t.Run(r.name, func(t *testing.T) {
			l := &log{events: all, applied: r.applied}
			found, err := idempotency.New(l, r.view, window).Find(t.Context(), wanted(a, b, c, none))
			require.NoError(t, err)
			want := map[events.MessageID]events.Message{}
			for _, m := range r.want {
				want[m.ID] = m
			}
			require.Equal(t, want, found)
			tails := slices.DeleteFunc(l.tails, func(s string) bool { return s == "messages.>" })
			slices.Sort(tails)
			require.Equal(t, r.tails, slices.Clip(append([]string(nil), tails...)))
		})
	}
}

func TestFindAsksTheLogNothingWhereTheViewHasAll(t *testing.T) {
	a, ea := sent(t, 1, "ch_a", "x", time.Hour)
	l := &log{events: []events.Event{ea}}
	found, err := idempotency.New(l, view{a.ID: a}, window).Find(t.Context(), wanted(a))
	require.NoError(t, err)
	require.Equal(t, map[events.MessageID]events.Message{a.ID: a}, found)
	require.Empty(t, l.tails)
}

func TestFindTakesTheFirstOfDuplicatesAndSkipsPoison(t *testing.T) {
	a, ea := sent(t, 1, "ch_a", "x", time.Hour)
	poison, again := ea, ea
	poison.Data, poison.Sequence = []byte("{}"), 2
	again.Sequence = 3
	l := &log{events: []events.Event{poison, ea, again}}
	found, err := idempotency.New(l, view{}, window).Find(t.Context(), wanted(a))
	require.NoError(t, err)
	require.Equal(t, map[events.MessageID]events.Message{a.ID: a}, found)
}

func TestFindNoticesARebuildThatHasJustBegun(t *testing.T) {
	a, ea := sent(t, 1, "ch_a", "x", time.Hour)
	l := &log{events: []events.Event{ea}, applied: 1, then: func(l *log) { l.applied = 0 }}
	found, err := idempotency.New(l, view{}, window).Find(t.Context(), wanted(a))
	require.NoError(t, err)
	require.Equal(t, map[events.MessageID]events.Message{a.ID: a}, found)

	l = &log{events: []events.Event{ea}, applied: 1, then: func(l *log) { l.err = events.ErrUnavailable }}
	_, err = idempotency.New(l, view{}, window).Find(t.Context(), wanted(a))
	require.ErrorIs(t, err, events.ErrUnavailable)
}

type brokenView struct{}

func (brokenView) MessagesByID(context.Context, events.ChannelID, []events.MessageID) (map[events.MessageID]events.Message, error) {
	return nil, fmt.Errorf("store: %w", events.ErrUnavailable)
}

func TestFindIsUnavailableRatherThanWrong(t *testing.T) {
	a, ea := sent(t, 1, "ch_a", "x", time.Hour)
	t.Run("view", func(t *testing.T) {
		_, err := idempotency.New(&log{}, brokenView{}, window).Find(t.Context(), wanted(a))
		require.ErrorIs(t, err, events.ErrUnavailable)
		require.ErrorContains(t, err, "ch_a")
	})
	t.Run("position", func(t *testing.T) {
		_, err := idempotency.New(&log{err: events.ErrUnavailable}, view{}, window).Find(t.Context(), wanted(a))
		require.ErrorIs(t, err, events.ErrUnavailable)
	})
	t.Run("too far behind", func(t *testing.T) {
		l := &log{}
		for i := range uint64(2_000) {
			ea.Sequence = i + 1
			l.events = append(l.events, ea)
		}
		_, err := idempotency.New(l, view{}, window).Find(t.Context(), wanted(a))
		requireCode(t, err, events.ErrUnavailable, "view_behind")
		l.events = l.events[1:]
		_, err = idempotency.New(l, view{}, window).Find(t.Context(), wanted(a))
		require.NoError(t, err)
	})
}

func TestFindOnARealLog(t *testing.T) {
	l := natstest.Open(t)
	a, ea := sent(t, 1, "ch_a", "x", time.Hour)
	b, eb := sent(t, 2, "ch_b", "y", time.Hour)
	fixtures.Publish(t, l, []events.Event{ea, eb})
	found, err := idempotency.New(l, view{}, l.DedupWindow()).Find(t.Context(), wanted(a, b))
	require.NoError(t, err)
	require.ElementsMatch(t, []events.Message{a, b}, slices.Collect(maps.Values(found)))
}

func TestFindOnARealLogThatTheViewHasAll(t *testing.T) {
	l := natstest.Open(t)
	_, e := sent(t, 0, "ch_a", "x", time.Hour)
	es := make([]events.Event, 2_500)
	for i := range es {
		es[i] = e
		es[i].ID = fmt.Sprint(i)
	}
	fixtures.Publish(t, l, es)
	none, _ := sent(t, 0, "ch_a", "never sent", 0)
	o := idempotency.New(l, view{}, l.DedupWindow())
	_, err := o.Find(t.Context(), wanted(none))
	requireCode(t, err, events.ErrUnavailable, "view_behind")

	c, err := l.Consumer(t.Context(), nats.ConsumerConfig{Stream: events.StreamMessages, Name: events.ConsumerMessages})
	require.NoError(t, err)
	defer c.Close()
	for n := 0; n < len(es); {
		ds, err := c.Fetch(t.Context(), 1_000, time.Minute)
		require.NoError(t, err)
		require.NotEmpty(t, ds)
		for _, d := range ds {
			require.NoError(t, d.Ack())
		}
		n += len(ds)
	}
	require.Eventually(t, func() bool {
		found, err := o.Find(t.Context(), wanted(none))
		return err == nil && len(found) == 0
	}, time.Minute, 10*time.Millisecond)
}

func TestCompare(t *testing.T) {
	m, _ := sent(t, 1, "ch_a", "x", 0)
	m.ReplyTo = "msg_r"
	require.Nil(t, idempotency.Compare(m.MessageSent, "x", "msg_r", time.Time{}))
	require.Nil(t, idempotency.Compare(m.MessageSent, "x", "msg_r", m.SentAt.In(time.FixedZone("", 3600))))
	for name, fault := range map[string]*events.Fault{
		"text":     idempotency.Compare(m.MessageSent, "y", "msg_r", time.Time{}),
		"reply_to": idempotency.Compare(m.MessageSent, "x", "", time.Time{}),
		"sent_at":  idempotency.Compare(m.MessageSent, "x", "msg_r", m.SentAt.Add(time.Millisecond)),
	} {
		require.NotNil(t, fault, name)
		require.ErrorIs(t, fault, events.ErrMismatch, name)
		require.Equal(t, "idempotency_mismatch", fault.Code, name)
	}
}
