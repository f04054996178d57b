package storetest

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/stores"
)

// filled is how many records the benchmarks of reads find in the store.
const filled = 100_000

// BenchmarkMessages measures a store of messages: writes in batches of 1, 100
// and 1,000, then reads from one with 100,000 messages in 100 channels.
func BenchmarkMessages(b *testing.B, open func(b *testing.B) Messages) {
	benchmarkWrites(b, open, func(s Messages) func(context.Context, []events.Message) error { return s.PutMessages })
	s, ms := open(b), newTalk().batch(filled)
	putChunks(b, s.PutMessages, ms, 1_000)
	refresh(b, s)
	b.Run("history/latest 50", func(b *testing.B) {
		for b.Loop() {
			page, err := s.History(b.Context(), events.HistoryQuery{Channel: ms[0].ChannelID, Limit: 50})
			require.NoError(b, err)
			require.Len(b, page.Messages, 50)
		}
	})
	b.Run("history/around, 50", func(b *testing.B) {
		for b.Loop() {
			_, err := s.History(b.Context(), events.HistoryQuery{Channel: ms[0].ChannelID, Around: filled / 2, Limit: 50})
			require.NoError(b, err)
		}
	})
	b.Run("by id/1000", func(b *testing.B) {
		var ids []events.MessageID
		for _, m := range shuffled(ms, 1) {
			if m.ChannelID == ms[0].ChannelID && len(ids) < 1_000 {
				ids = append(ids, m.ID)
			}
		}
		for b.Loop() {
			found, err := s.MessagesByID(b.Context(), ms[0].ChannelID, ids)
			require.NoError(b, err)
			require.Len(b, found, 1_000)
		}
	})
	benchmarkChecksums(b, s)
}

// BenchmarkMetadata measures a store of channels and memberships: writes in
// batches of 1, 100 and 1,000, then reads from one with 100,000 memberships.
func BenchmarkMetadata(b *testing.B, open func(b *testing.B) Metadata) {
	member := func(i int) events.Member {
		return newMember(events.ChannelID(fmt.Sprintf("ch_%d", i%100)), events.UserID(fmt.Sprintf("user %d", i/10)), uint64(i)+1, true)
	}
	for _, size := range []int{1, 100, 1_000} {
		b.Run(fmt.Sprintf("write/%d", size), func(b *testing.B) {
			s, n, batch := open(b), 0, make([]events.Member, size)
			for b.Loop() {
				for i := range batch {
					batch[i] = member(n)
					n++
				}
				require.NoError(b, s.PutMembers(b.Context(), batch))
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
		})
	}
	s := open(b)
	for i := 0; i < filled; i += 1_000 {
		batch := make([]events.Member, 1_000)
		for k := range batch {
			batch[k] = member(i + k)
		}
		require.NoError(b, s.PutMembers(b.Context(), batch))
	}
	for i := range 100 {
		require.NoError(b, s.PutChannels(b.Context(), []events.Channel{newChannel(events.ChannelID(fmt.Sprintf("ch_%d", i)), uint64(i)+1, events.Public)}))
	}
	refresh(b, s)
	b.Run("channel by id", func(b *testing.B) {
		for b.Loop() {
			_, err := s.ChannelByID(b.Context(), "ch_42")
			require.NoError(b, err)
		}
	})
	b.Run("channels of a user", func(b *testing.B) {
		for b.Loop() {
			cs, err := s.ChannelsOf(b.Context(), "user 4242", "", 100)
			require.NoError(b, err)
			require.Len(b, cs, 10)
		}
	})
	b.Run("members of a channel, 100", func(b *testing.B) {
		for b.Loop() {
			ms, err := s.MembersOf(b.Context(), "ch_42", "user 5", 100)
			require.NoError(b, err)
			require.Len(b, ms, 100)
		}
	})
	benchmarkChecksums(b, s)
}

// BenchmarkSearch measures a search view: writes in batches of 1, 100 and
// 1,000, then searches, 50 hits a page, in 100,000 messages in 100 channels.
func BenchmarkSearch(b *testing.B, open func(b *testing.B) Search) {
	benchmarkWrites(b, open, func(s Search) func(context.Context, []events.Message) error { return s.IndexMessages })
	s, talk := open(b), newTalk()
	ms := talk.batch(filled)
	putChunks(b, s.IndexMessages, ms, 1_000)
	refresh(b, s)
	common, rare := talk.words[1], strings.Fields(ms[filled/2].Text)[0]
	few := []events.ChannelID{talk.channels[0], talk.channels[1], talk.channels[2]}
	for _, c := range []struct {
		name     string
		text     string
		channels []events.ChannelID
	}{
		{"a common word", common + " ", few},
		{"a word of one message", rare, few},
		{"two common words", common + " " + talk.words[2], few},
		{"a prefix of one letter", common[:1], few},
		{"a prefix of three letters", common[:3], few},
		{"in a small channel", common, talk.channels[len(talk.channels)-1:]},
		{"in 100 channels", common, talk.channels},
	} {
		b.Run("search/"+c.name, func(b *testing.B) {
			for b.Loop() {
				_, err := s.SearchMessages(b.Context(), events.SearchQuery{Text: c.text, Channels: c.channels, Limit: 50})
				require.NoError(b, err)
			}
		})
	}
	benchmarkChecksums(b, s)
}

func benchmarkWrites[S View](b *testing.B, open func(b *testing.B) S, put func(S) func(context.Context, []events.Message) error) {
	for _, size := range []int{1, 100, 1_000} {
		b.Run(fmt.Sprintf("write/%d", size), func(b *testing.B) {
			s, talk, n := open(b), newTalk(), 0
			for b.Loop() {
				require.NoError(b, put(s)(b.Context(), talk.batch(size)))
				n += size
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

func benchmarkChecksums[S View](b *testing.B, s S) {
	b.Run("checksums", func(b *testing.B) {
		for b.Loop() {
			_, err := s.Checksums(b.Context(), stores.All)
			require.NoError(b, err)
		}
	})
}

// talk makes messages as people write them: some words often and most hardly
// ever (Zipf), some channels busy and most quiet, 4 to 20 words.
type talk struct {
	seq            uint64
	words          []string
	channels       []events.ChannelID
	word, channel  *rand.Zipf
	random, length *rand.Rand
	text           strings.Builder
}

var benchID = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func newTalk() *talk {
	r := rand.New(rand.NewPCG(1, 2))
	t := &talk{random: r, length: rand.New(rand.NewPCG(3, 4))}
	for range 50_000 {
		word := make([]byte, 2+r.IntN(9))
		for k := range word {
			word[k] = "etaoinshrdlucmfwypvbgkjqxz"[min(r.IntN(26), r.IntN(26))]
		}
		t.words = append(t.words, string(word))
	}
	for i := range 100 {
		t.channels = append(t.channels, events.ChannelID(fmt.Sprintf("ch_%d", i)))
	}
	t.word, t.channel = rand.NewZipf(r, 1.1, 3, 49_999), rand.NewZipf(r, 1.2, 2, 99)
	return t
}

func (t *talk) batch(n int) []events.Message {
	ms := make([]events.Message, n)
	for i := range ms {
		t.seq++
		var id [16]byte
		binary.BigEndian.PutUint64(id[:], t.random.Uint64())
		binary.BigEndian.PutUint64(id[8:], t.random.Uint64())
		t.text.Reset()
		for range 4 + t.length.IntN(17) {
			t.text.WriteString(t.words[t.word.Uint64()])
			t.text.WriteByte(' ')
		}
		ms[i] = events.Message{Seq: t.seq, MessageSent: events.MessageSent{
			ID: events.MessageID("msg_" + benchID.EncodeToString(id[:])), ChannelID: t.channels[t.channel.Uint64()],
			AuthorID: oddUsers[t.seq%uint64(len(oddUsers))], Text: t.text.String(), SentAt: epoch,
			ClientID: events.ClientID(uuid.UUID(id).String()),
		}}
	}
	return ms
}
