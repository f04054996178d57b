package rebuild_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/local/rebuild"
	"github.com/chat-platform/chat/local/views"
)

// backup is what a log was at a moment.
type backup struct {
	streams map[string][]events.Event
	states  map[string][]byte
}

func (s *stage) backup(t *testing.T) backup {
	t.Helper()
	b := backup{map[string][]events.Event{}, map[string][]byte{}}
	for _, stream := range []string{events.StreamMessages, events.StreamMetadata} {
		last, err := s.log.LastSequence(t.Context(), stream)
		require.NoError(t, err)
		require.NoError(t, s.log.Range(t.Context(), stream, nil, 1, last, func(e events.Event) error {
			b.streams[stream] = append(b.streams[stream], e)
			return nil
		}))
	}
	for _, v := range views.All() {
		data, _, err := s.log.ReadView(t.Context(), v.Name)
		require.NoError(t, err)
		b.states[v.Name] = data
	}
	return b
}

// restored is the stage with the stores that it has, and a log as it was once:
// its events, what its consumers had acknowledged, and what it said of views.
func (s *stage) restored(t *testing.T, b backup) *stage {
	t.Helper()
	r := *s
	r.log = natstest.Open(t)
	for _, es := range b.streams {
		r.publish(t, es...)
	}
	for _, v := range views.All() {
		c, err := r.log.Consumer(t.Context(), natslog.ConsumerConfig{Stream: v.Stream, Name: v.Consumer})
		require.NoError(t, err)
		for n := 0; n < len(b.streams[v.Stream]); {
			ds, err := c.Fetch(t.Context(), natslog.FetchMost, time.Minute)
			require.NoError(t, err)
			for _, d := range ds {
				require.NoError(t, d.Ack())
			}
			n += len(ds)
		}
		c.Close()
		if data := b.states[v.Name]; data != nil {
			_, err := r.log.WriteView(t.Context(), v.Name, data, 0)
			require.NoError(t, err)
		}
	}
	return &r
}

// says gives the codes of what readers of each view are told.
func (v *service) says(t *testing.T) []string {
	t.Helper()
	_, messages := v.messages.History(t.Context(), events.HistoryQuery{Channel: "ch_a", Limit: 10})
	_, metadata := v.metadata.MembersOf(t.Context(), "ch_a", "", 10)
	_, search := v.search.SearchMessages(t.Context(), events.SearchQuery{Text: "hello", Channels: []events.ChannelID{"ch_a"}, Limit: 10})
	var codes []string
	for _, err := range []error{messages, metadata, search} {
		var f *events.Fault
		if assert.ErrorAs(t, err, &f) {
			assert.ErrorIs(t, err, events.ErrUnavailable)
			assert.True(t, stores.IsForeign(err), err)
			codes = append(codes, f.Code)
		}
	}
	return codes
}

// A log is restored under stores that know of its future. Nothing is read from
// them, nothing is written to them, and a rebuild makes all well.
func TestARestoredLog(t *testing.T) {
	state := func(s *stage, change func(*stores.State)) func(*testing.T) {
		return func(t *testing.T) {
			for _, v := range views.All() {
				state, revision, err := stores.ReadState(t.Context(), s.log, v.Name)
				require.NoError(t, err)
				change(&state)
				_, err = stores.WriteState(t.Context(), s.log, v.Name, state, revision)
				require.NoError(t, err)
			}
		}
	}
	rebuilt := func(s *stage) func(*testing.T) {
		return func(t *testing.T) {
			_, err := s.rebuilder(nil).Run(t.Context(), views.All())
			require.NoError(t, err)
		}
	}
	// A rebuild that has begun its next generation, of the log that is to be lost.
	building := func(s *stage) func(*testing.T) {
		return func(t *testing.T) {
			epoch, err := s.log.Epoch(t.Context())
			require.NoError(t, err)
			for _, v := range views.All() {
				next, _, err := v.Generation(t.Context(), s.cfg, stores.Host{}, 2)
				require.NoError(t, err)
				_, err = next.Claim(t.Context(), epoch)
				require.NoError(t, err)
				require.NoError(t, next.Close())
			}
			state(s, func(st *stores.State) { st.Building, st.Last, st.Through, st.Copied = 2, 2, 12, 10 })(t)
		}
	}
	nothing := func(*stage) func(*testing.T) { return func(*testing.T) {} }
	for _, c := range []struct {
		name          string
		before, after func(*stage) func(*testing.T) // what happened before the backup, and after it
		code          string
		live          int // in the end
	}{
		{"nothing was rebuilt", nothing, nothing, stores.CodeAnotherLog, 2},
		{"the register names a generation", rebuilt, nothing, stores.CodeAnotherLog, 3},
		{"the register names no generation, and the first is gone", nothing, rebuilt, stores.CodeLost, 2},
		{"the register names a generation that is gone", rebuilt, rebuilt, stores.CodeLost, 3},
		{"the register tells of a rebuild under way", building, nothing, stores.CodeAnotherLog, 3},
		{"the register tells of a rebuild under way that came to its switch", building, func(s *stage) func(*testing.T) {
			return state(s, func(st *stores.State) { st.Live, st.Retiring, st.Building = 2, 1, 0 })
		}, stores.CodeAnotherLog, 3},
		{"the register tells of a rebuild just before its end", func(s *stage) func(*testing.T) {
			return func(t *testing.T) {
				rebuilt(s)(t)
				state(s, func(st *stores.State) { st.Retiring = 1 })(t)
			}
		}, nothing, stores.CodeAnotherLog, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := &stage{dir: dir, cfg: views.Embedded(dir), lease: 3 * lease, batch: 50}
			var b backup
			t.Run("before", func(t *testing.T) {
				s.log = natstest.Open(t)
				s.publish(t, append(talk(t, "ch_a", 10), talk(t, "ch_b", 5)...)...)
				v := s.serve(t)
				s.applied(t)
				_, err := v.messages.History(t.Context(), events.HistoryQuery{Channel: "ch_a", Limit: 10})
				require.NoError(t, err)
				c.before(s)(t)
				b = s.backup(t)
				s.publish(t, append(talk(t, "ch_lost", 5), said(t, "ch_a", "hello that gets lost"))...)
				s.applied(t)
				c.after(s)(t)
				s.applied(t)
			})
			r := s.restored(t, b)
			v := r.serve(t)
			require.Equal(t, []string{c.code, c.code, c.code}, v.says(t))
			require.ErrorContains(t, v.search.Ping(t.Context()), "run chat rebuild search")
			r.publish(t, said(t, "ch_a", "hello after all"), joined(t, "ch_a", "bob"))
			require.True(t, stores.IsForeign(v.messages.PutMessages(t.Context(), []events.Message{{Seq: 99, MessageSent: events.MessageSent{ID: "msg_x", ChannelID: "ch_a", Text: "x"}}})))
			for _, view := range views.All() {
				applied, last, err := r.log.Position(t.Context(), view.Stream, view.Consumer)
				require.NoError(t, err)
				require.Equal(t, last-1, applied, "nobody has written what came")
			}

			var out bytes.Buffer
			results, err := r.rebuilder(rebuild.NewPrinter(&out).Print).Run(t.Context(), views.All())
			require.NoError(t, err, out.String())
			r.applied(t)
			for i, view := range views.All() {
				require.False(t, results[i].Completed)
				require.Equal(t, c.live, results[i].Generation, fmt.Sprint(results[i]))
				r.holds(t, view, c.live)
			}
			page, err := v.messages.History(t.Context(), events.HistoryQuery{Channel: "ch_a", Limit: 100})
			require.NoError(t, err)
			require.Equal(t, "hello after all", page.Messages[len(page.Messages)-1].Text)
			require.Len(t, page.Messages, 11, "without what was lost")
			members, err := v.metadata.MembersOf(t.Context(), "ch_a", "", 10)
			require.NoError(t, err)
			require.Len(t, members, 2)
			found, err := v.search.SearchMessages(t.Context(), events.SearchQuery{Text: "all", Channels: []events.ChannelID{"ch_a"}, Limit: 10})
			require.NoError(t, err)
			require.Len(t, found.Hits, 1)
		})
	}
}

// Stores of a version that knew of no epochs are taken as they are.
func TestStoresOfAnOlderVersion(t *testing.T) {
	s := newStage(t)
	s.publish(t, talk(t, "ch_a", 10)...)
	for _, v := range views.All() { // past the switch, as if there were none
		_, err := v.CatchUp(t.Context(), s.log, s.dir)
		require.NoError(t, err)
	}
	v := s.serve(t)
	s.applied(t)
	page, err := v.messages.History(t.Context(), events.HistoryQuery{Channel: "ch_a", Limit: 100})
	require.NoError(t, err)
	require.Len(t, page.Messages, 10)
	epoch, err := s.log.Epoch(t.Context())
	require.NoError(t, err)
	for _, view := range []stores.View{v.messages, v.metadata, v.search} {
		require.NoError(t, view.Ping(t.Context()))
		of, err := view.Claim(t.Context(), "")
		require.NoError(t, err)
		require.Equal(t, epoch, of)
	}
	for _, view := range views.All() {
		s.holds(t, view, 1)
	}
}
