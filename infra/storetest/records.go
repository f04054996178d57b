package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
)

// Refresher is implemented by stores that make what was written visible a
// little later (Elasticsearch): Refresh makes it visible now. The suite calls
// it after its writes.
type Refresher interface {
	Refresh(ctx context.Context) error
}

func refresh(t testing.TB, store any) {
	t.Helper()
	if r, ok := store.(Refresher); ok {
		require.NoError(t, r.Refresh(t.Context()), "refresh")
	}
}

var (
	epoch    = time.Date(2024, 2, 29, 23, 59, 59, 123e6, time.UTC)
	time1970 = time.UnixMilli(0).UTC()
)

const (
	general = events.ChannelID("ch_general")
	random  = events.ChannelID("ch_random")
)

// oddUsers are names that a careless key or query would trip over.
var oddUsers = []events.UserID{"a.b", "a b", "x y", "ünïcødé", "%41", "A", "[|]`^", "o'neil", `q"uote`, "a/b", "a:b", "a*", "a>b", "日本", "👩🏽‍💻", "-dash", "_under", "a%2Eb"}

// newMessage makes a message that follows from its arguments alone.
func newMessage(channel events.ChannelID, author events.UserID, seq uint64, text string) events.Message {
	client := events.ClientID(uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%s/%s/%d", channel, author, seq)).String())
	return events.Message{Seq: seq, MessageSent: events.MessageSent{
		ID: events.NewMessageID(author, channel, client), ChannelID: channel, AuthorID: author,
		Text: text, SentAt: epoch.Add(time.Duration(seq) * 1_001 * time.Millisecond), ClientID: client,
	}}
}

// conversation makes n messages of a channel with the sequences first, first+step, …;
// every third answers the one before it.
func conversation(channel events.ChannelID, n int, first, step uint64) []events.Message {
	ms := make([]events.Message, n)
	for i := range ms {
		ms[i] = newMessage(channel, oddUsers[i%len(oddUsers)], first+uint64(i)*step, fmt.Sprintf("message number %d of %s", i, channel))
		if i%3 == 2 {
			ms[i].ReplyTo = ms[i-1].ID
		}
	}
	return ms
}

func newChannel(id events.ChannelID, seq uint64, visibility events.Visibility) events.Channel {
	return events.Channel{Seq: seq, ChannelCreated: events.ChannelCreated{
		ID: id, Name: "Name of " + string(id), Topic: "talk, “quotes” & 日本", Visibility: visibility,
		CreatedBy: "x y", CreatedAt: epoch.Add(time.Duration(seq) * time.Second),
	}}
}

func newMember(channel events.ChannelID, user events.UserID, seq uint64, active bool) events.Member {
	return events.Member{Seq: seq, ChannelID: channel, UserID: user, Role: events.RoleMember, Active: active,
		At: epoch.Add(time.Duration(seq) * time.Minute)}
}

// shuffled returns the records in another order, the same one for each seed.
func shuffled[T any](records []T, seed uint64) []T {
	out := slices.Clone(records)
	r := rand.New(rand.NewPCG(seed, 42))
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// putChunks writes the records in calls of at most size.
func putChunks[T any](t testing.TB, put func(context.Context, []T) error, records []T, size int) {
	t.Helper()
	for chunk := range slices.Chunk(records, size) {
		require.NoError(t, put(t.Context(), chunk))
	}
}

// putConcurrently lets several writers write all of the records, each in an
// order of its own.
func putConcurrently[T any](t testing.TB, put func(context.Context, []T) error, records []T, writers, size int) {
	t.Helper()
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for chunk := range slices.Chunk(shuffled(records, uint64(w)), size) {
				if errs[w] = put(t.Context(), chunk); errs[w] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

// sumsOf is what the checksums of a view with these messages must be.
func sumsOf(t testing.TB, ms []events.Message) map[events.ChannelID]events.Checksum {
	t.Helper()
	sums := map[events.ChannelID]events.Checksum{}
	for _, m := range ms {
		sum := sums[m.ChannelID]
		require.NoError(t, sum.Add(m))
		sums[m.ChannelID] = sum
	}
	return sums
}

func seqsOf(ms []events.Message) []uint64 {
	seqs := []uint64{}
	for _, m := range ms {
		seqs = append(seqs, m.Seq)
	}
	return seqs
}

// texts that storage tends to damage.
var trickyTexts = map[string]string{
	"astral":        "😀 \U0001F469\U0001F3FD\u200D\U0001F4BB \U0001D518\U0001D52B\U0001D526 \U00020BB7野家",
	"lines":         "first\nsecond\r\n\n\tthird\u2028fourth",
	"longest":       longText(events.MaxMessageRunes),
	"control":       "bell\a back\b esc\x1b[31m del\x7f unit\x1f c1\u0085",
	"right to left": "שלום עולם, مرحبا بالعالم \u202Eabc\u202C",
	"quotes":        `'single' "double" ` + "`back` \\ \\' %s ${x} {{y}} -- ; DROP TABLE messages; /*",
	"combining":     "Cafe\u0301 vs Caf\u00e9, a\u0300\u0301\u0302",
	"edges":         "  leading and trailing \u00a0\u3000",
	"one space":     " ",
	"zero width":    "\u200bzero\ufeffwidth\ufffd",
	"looks encoded": "%41 &amp; \\u0041 =?utf-8?q?=41?= null 0x00 1e309",
}

func longText(runes int) string {
	alphabet := []rune("aé日😀 ")
	out := make([]rune, runes)
	for i := range out {
		out[i] = alphabet[i%len(alphabet)]
	}
	return string(out)
}
