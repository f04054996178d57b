package sendmessages_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/command/sendmessages"
	"github.com/chat-platform/chat/functions/internal/fixtures"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/idempotency"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

var alice = events.Caller{User: "alice"}

// view is a message view of what is in the map; it counts its calls.
type view struct {
	messages map[events.MessageID]events.Message
	err      error
	calls    *[]int // how many ids each call asked for
}

func (v view) MessagesByID(_ context.Context, _ events.ChannelID, ids []events.MessageID) (map[events.MessageID]events.Message, error) {
	if v.calls != nil {
		*v.calls = append(*v.calls, len(ids))
	}
	found := map[events.MessageID]events.Message{}
	for _, id := range ids {
		if m, ok := v.messages[id]; ok {
			found[id] = m
		}
	}
	return found, v.err
}

func handler(log sendmessages.Log, real *nats.Log, v view) *sendmessages.Handler {
	return sendmessages.New(log, membership.New(real), idempotency.New(real, v, real.DedupWindow()))
}

func function(log *nats.Log) *frontdoor.Function {
	return frontdoor.Command(sendmessages.Spec, handler(log, log, view{}).Handle, fixtures.Options()...)
}

func build(_ *testing.T, log *nats.Log, _ []events.Event) *frontdoor.Function { return function(log) }

func TestFixtures(t *testing.T) {
	fixtures.Run(t, build)
	for name, messages := range map[string]any{
		"too_many": many(sendmessages.MaxMessages+1, func(int) string { return "5b0f6a0e-3a5c-4a53-9d3c-0c1f2f6f1a02" }),
		"too_long": []sendmessages.Item{{ChannelID: "ch_general", ClientID: "5b0f6a0e-3a5c-4a53-9d3c-0c1f2f6f1a02", Text: strings.Repeat("ü", events.MaxMessageRunes+1)}},
	} {
		b, err := json.Marshal(map[string]any{"specversion": "1.0", "id": "fixture-" + name, "source": "/fixtures/sendmessages",
			"type": sendmessages.Spec.Type, "authtype": "user", "authid": "alice", "data": map[string]any{"messages": messages}})
		require.NoError(t, err)
		fixtures.RunOne(t, build, name, b)
	}
}

func many(n int, client func(i int) string) []sendmessages.Item {
	items := make([]sendmessages.Item, n)
	for i := range items {
		items[i] = sendmessages.Item{ChannelID: "ch_general", Text: fmt.Sprintf("message %d", i), ClientID: client(i)}
	}
	return items
}

func fresh(int) string { return string(events.NewClientID()) }

func random(int) string { return uuid.NewString() }

func madeAt(at time.Time) string {
	u := uuid.Must(uuid.NewV7())
	for i, ms := 5, at.UnixMilli(); i >= 0; i, ms = i-1, ms>>8 {
		u[i] = byte(ms)
	}
	return u.String()
}

func opened(tb testing.TB) *nats.Log {
	tb.Helper()
	log := natstest.Open(tb)
	fixtures.Given(tb, log)
	return log
}

func lastSeq(tb testing.TB, log *nats.Log) uint64 {
	tb.Helper()
	seq, err := log.LastSequence(tb.Context(), events.StreamMessages)
	require.NoError(tb, err)
	return seq
}

func send(tb testing.TB, log *nats.Log, v view, items ...sendmessages.Item) (sendmessages.Answer, error) {
	tb.Helper()
	return handler(log, log, v).Handle(tb.Context(), alice, sendmessages.Request{Messages: items})
}

func requireFaults(t *testing.T, err, kind error, code string, indexes ...int) {
	t.Helper()
	require.ErrorIs(t, err, kind)
	var fs events.Faults
	require.ErrorAs(t, err, &fs)
	var got []int
	for _, f := range fs {
		assert.Equal(t, code, f.Code)
		got = append(got, f.Index)
	}
	require.Equal(t, indexes, got)
}

func TestAThousandInOrderAndAgain(t *testing.T) {
	for name, client := range map[string]func(int) string{"fresh": fresh, "looked up": random} {
		t.Run(name, func(t *testing.T) {
			log := opened(t)
			before := lastSeq(t, log)
			items := many(sendmessages.MaxMessages, client)
			var calls []int
			a, err := send(t, log, view{calls: &calls}, items...)
			require.NoError(t, err)
			require.Equal(t, http.StatusAccepted, a.StatusCode())
			if name == "fresh" {
				require.Empty(t, calls)
			} else {
				require.Equal(t, []int{1000}, calls, "one look-up for all")
			}
			require.Len(t, a.Results, len(items))
			for i, r := range a.Results {
				want := sendmessages.Result{ID: events.NewMessageID("alice", "ch_general", events.ClientID(items[i].ClientID)), Seq: before + uint64(i) + 1}
				require.Equal(t, want, r)
			}
			i := 0
			require.NoError(t, log.Range(t.Context(), events.StreamMessages, nil, before+1, before+1000, func(e events.Event) error {
				m, err := events.MessageOf(e)
				require.NoError(t, err)
				require.Equal(t, items[i].Text, m.Text)
				i++
				return nil
			}))
			again, err := send(t, log, view{}, items...)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, again.StatusCode())
			for i, r := range again.Results {
				require.Equal(t, sendmessages.Result{ID: a.Results[i].ID, Seq: a.Results[i].Seq, Existing: true}, r)
			}
			require.Equal(t, before+1000, lastSeq(t, log))
		})
	}
}

func TestImportKeepsAuthorsAndTimes(t *testing.T) {
	log := opened(t)
	importer := events.Caller{User: "importer", Roles: []string{events.RoleImport}}
	item := sendmessages.Item{ChannelID: "ch_general", Text: "x", ClientID: random(0), AuthorID: "bob", SentAt: "2011-04-05T06:07:08.9999+02:00"}
	h := handler(log, log, view{})
	a, err := h.Handle(t.Context(), importer, sendmessages.Request{Messages: []sendmessages.Item{item}})
	require.NoError(t, err)
	e, err := log.BySequence(t.Context(), events.StreamMessages, a.Results[0].Seq)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), e.Time, time.Minute, "the event is from now, whenever the message was sent")
	m, err := events.MessageOf(e)
	require.NoError(t, err)
	require.Equal(t, events.UserID("bob"), m.AuthorID)
	require.Equal(t, "2011-04-05T04:07:08.999Z", m.SentAt.Format(time.RFC3339Nano))

	again, err := h.Handle(t.Context(), importer, sendmessages.Request{Messages: []sendmessages.Item{item}})
	require.NoError(t, err)
	require.True(t, again.Results[0].Existing)
	item.SentAt = "2011-04-05T06:07:09+02:00"
	_, err = h.Handle(t.Context(), importer, sendmessages.Request{Messages: []sendmessages.Item{item}})
	requireFaults(t, err, events.ErrMismatch, "idempotency_mismatch", 0)
}

func TestOneBadMessageAndNoneIsSent(t *testing.T) {
	good := many(3, fresh)
	future := good[1]
	future.ClientID = madeAt(time.Now().Add(time.Hour))
	empty, stranger := good[1], good[1]
	empty.Text = ""
	stranger.ChannelID = "ch_private"
	other := good[0]
	other.Text = "something else"
	for name, r := range map[string]struct {
		item sendmessages.Item
		kind error
		code string
	}{
		"empty":           {empty, events.ErrInvalid, "empty_message"},
		"in the future":   {future, events.ErrInvalid, "client_id_in_future"},
		"not a member":    {stranger, events.ErrForbidden, "not_a_member"},
		"repeated, other": {other, events.ErrMismatch, "idempotency_mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			log := opened(t)
			before := lastSeq(t, log)
			_, err := send(t, log, view{}, good[0], r.item, good[2])
			requireFaults(t, err, r.kind, r.code, 1)
			require.Equal(t, before, lastSeq(t, log))
		})
	}
}

func TestTheViewKnowsWhatIsOld(t *testing.T) {
	log := opened(t)
	before := lastSeq(t, log)
	items := many(4, func(int) string { return madeAt(time.Now().Add(-24 * time.Hour)) })
	old := items[2]
	id := events.NewMessageID("alice", "ch_general", events.ClientID(old.ClientID))
	v := view{messages: map[events.MessageID]events.Message{id: {Seq: 1, MessageSent: events.MessageSent{ID: id, ChannelID: "ch_general",
		AuthorID: "alice", Text: old.Text, ClientID: events.ClientID(old.ClientID)}}}}
	a, err := send(t, log, v, append(items, old)...)
	require.NoError(t, err)
	require.Equal(t, []uint64{before + 1, before + 2, 1, before + 3, 1}, seqs(a))
	require.True(t, a.Results[2].Existing)
	require.True(t, a.Results[4].Existing)

	items[2].Text, items[0].ClientID = "something else", random(0)
	_, err = send(t, log, v, items...)
	requireFaults(t, err, events.ErrMismatch, "idempotency_mismatch", 2)
	require.Equal(t, before+3, lastSeq(t, log), "nothing new was sent")

	_, err = send(t, log, view{err: events.ErrUnavailable}, many(1, random)...)
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.Equal(t, before+3, lastSeq(t, log))
}

func seqs(a sendmessages.Answer) []uint64 {
	var s []uint64
	for _, r := range a.Results {
		s = append(s, r.Seq)
	}
	return s
}

func TestRepeatedInOneRequest(t *testing.T) {
	log := opened(t)
	items := many(2, fresh)
	a, err := send(t, log, view{}, items[0], items[1], items[0])
	require.NoError(t, err)
	require.Equal(t, a.Results[0].Seq, a.Results[2].Seq)
	require.Equal(t, []bool{false, false, true}, []bool{a.Results[0].Existing, a.Results[1].Existing, a.Results[2].Existing})
}

func TestADuplicateThatSaysSomethingElse(t *testing.T) {
	log := opened(t)
	items := many(3, fresh)
	_, err := send(t, log, view{}, items[1])
	require.NoError(t, err)
	items[1].Text = "something else"
	_, err = send(t, log, view{}, items...)
	requireFaults(t, err, events.ErrMismatch, "idempotency_mismatch", 1)
}

func TestARaceIsOneMessageEach(t *testing.T) {
	log := opened(t)
	before := lastSeq(t, log)
	items := many(50, fresh)
	answers := make([]sendmessages.Answer, 8)
	var race sync.WaitGroup
	for i := range answers {
		race.Go(func() {
			var err error
			answers[i], err = send(t, log, view{}, items...)
			assert.NoError(t, err)
		})
	}
	race.Wait()
	for _, a := range answers {
		assert.Equal(t, seqs(answers[0]), seqs(a))
	}
	require.Equal(t, before+50, lastSeq(t, log))
}

// flaky is a log that stores only the first few, or cannot read.
type flaky struct {
	*nats.Log
	stores int
	read   error
}

func (f flaky) PublishAll(ctx context.Context, es []events.Event, expect []uint64) ([]events.Ack, []error) {
	n := min(f.stores, len(es))
	acks, errs := f.Log.PublishAll(ctx, es[:n], expect)
	for range es[n:] {
		acks, errs = append(acks, events.Ack{}), append(errs, fmt.Errorf("no answer: %w", events.ErrUnavailable))
	}
	return acks, errs
}

func (f flaky) BySequence(ctx context.Context, stream string, seq uint64) (events.Event, error) {
	if f.read != nil {
		return events.Event{}, f.read
	}
	e, err := f.Log.BySequence(ctx, stream, seq)
	e.Data = []byte(`{}`)
	return e, err
}

func TestWhatStoppedHalfwayIsCompleted(t *testing.T) {
	log := opened(t)
	before := lastSeq(t, log)
	items := many(10, fresh)
	_, err := handler(flaky{Log: log, stores: 4}, log, view{}).Handle(t.Context(), alice, sendmessages.Request{Messages: items})
	require.ErrorIs(t, err, events.ErrUnavailable)
	p := frontdoor.ProblemOf("r", err)
	require.Equal(t, http.StatusServiceUnavailable, p.Status)
	require.Equal(t, "partly_stored", p.Code)
	require.Contains(t, p.Detail, "6 of 10")
	a, err := send(t, log, view{}, items...)
	require.NoError(t, err)
	for i, r := range a.Results {
		require.Equal(t, before+uint64(i)+1, r.Seq)
		require.Equal(t, i < 4, r.Existing)
	}
}

func TestTheLogsErrors(t *testing.T) {
	log := opened(t)
	items := many(2, fresh)
	_, err := send(t, log, view{}, items...)
	require.NoError(t, err)
	again := func(f flaky) error {
		f.stores = 10
		_, err := handler(f, log, view{}).Handle(t.Context(), alice, sendmessages.Request{Messages: items})
		return err
	}
	require.ErrorIs(t, again(flaky{Log: log, read: events.ErrUnavailable}), events.ErrUnavailable)
	require.Equal(t, http.StatusInternalServerError, frontdoor.StatusOf(again(flaky{Log: log})), "the original does not decode")
	require.NoError(t, log.Close())
	_, err = send(t, log, view{}, items...)
	require.ErrorIs(t, err, events.ErrUnavailable)
}

func TestRESTRouteAndItsLimit(t *testing.T) {
	f := function(opened(t))
	post := func(body string) int {
		status, _ := fixtures.REST(t, f, fixtures.Token("alice"), http.MethodPost, "/v1/messages/batch", body)
		return status
	}
	b, err := json.Marshal(sendmessages.Request{Messages: many(2, fresh)})
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, post(string(b)))
	require.Equal(t, http.StatusOK, post(string(b)))
	require.Equal(t, http.StatusRequestEntityTooLarge, post(`{"messages":[`+strings.Repeat(" ", 16<<20)+`]}`))
}

// caughtUp is a log whose message view has everything.
type caughtUp struct{ *nats.Log }

func (c caughtUp) Applied(ctx context.Context, stream, _ string) (uint64, error) {
	return c.LastSequence(ctx, stream)
}

// What one message costs from JSON to receipt, the embedded server included.
func BenchmarkSend(b *testing.B) {
	log := opened(b)
	for name, client := range map[string]func(int) string{"fresh": fresh, "lookedup": random} {
		b.Run(name, func(b *testing.B) {
			h := sendmessages.New(log, membership.New(log), idempotency.New(caughtUp{log}, view{}, log.DedupWindow()))
			f := frontdoor.Command(sendmessages.Spec, h.Handle, fixtures.Options()...)
			text := strings.Repeat("hello world ", 10)
			body := func() string {
				items := many(sendmessages.MaxMessages, client)
				for i := range items {
					items[i].Text += text
				}
				j, err := json.Marshal(sendmessages.Request{Messages: items})
				if err != nil {
					b.Fatal(err)
				}
				return string(j)
			}
			token := fixtures.Token("alice")
			for b.Loop() {
				b.StopTimer()
				j := body()
				b.StartTimer()
				if status, answer := fixtures.REST(b, f, token, http.MethodPost, "/v1/messages/batch", j); status != http.StatusAccepted {
					b.Fatal(string(answer))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/sendmessages.MaxMessages, "µs/message")
		})
	}
}
