package link_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

func requests() map[string]link.Request {
	return map[string]link.Request{
		"attach":    link.Attach{Link: 7, Instance: "notification-0"},
		"heartbeat": link.Interest{Link: 7},
		"interest":  link.Interest{Link: 7, Add: []string{"ch_a", "user:ann@example.org"}, Remove: []string{"ch_b"}},
		"detach":    link.Detach{Link: 7},
	}
}

func TestRequestRoundTrip(t *testing.T) {
	for name, r := range requests() {
		t.Run(name, func(t *testing.T) {
			b := r.Append(nil)
			got, err := link.ParseRequest(b)
			require.NoError(t, err)
			require.Equal(t, r, got)
			for n := range b {
				_, err := link.ParseRequest(b[:n])
				require.ErrorIs(t, err, link.ErrMalformed, "cut after %d bytes", n)
			}
			_, err = link.ParseRequest(append(b, 0))
			require.ErrorIs(t, err, link.ErrMalformed)
		})
	}
}

func TestMalformedRequests(t *testing.T) {
	many := make([]string, link.MaxKeys+1)
	for name, b := range map[string][]byte{
		"kind":          link.Answer{}.Append(nil),
		"no link":       link.Detach{}.Append(nil),
		"version":       {'D', 9, 0, 0, 0, 0, 0, 0, 0, 1},
		"too many keys": link.Interest{Link: 1, Add: many}.Append(nil),
		"too many both": link.Interest{Link: 1, Add: many[:link.MaxKeys], Remove: many[:1]}.Append(nil),
		"keys promised": {'I', 1, 0, 0, 0, 0, 0, 0, 0, 1, 100, 0},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := link.ParseRequest(b)
			require.ErrorIs(t, err, link.ErrMalformed)
		})
	}
}

func TestAnswerRoundTrip(t *testing.T) {
	for _, status := range []link.Status{link.StatusOK, link.StatusUnknown, link.StatusFull, link.StatusInvalid} {
		a := link.Answer{Status: status, Link: 3, FanOut: "fanout-1", Positions: link.Positions{Messages: 5, Metadata: 6}}
		got, err := link.ParseAnswer(a.Append(nil))
		require.NoError(t, err)
		require.Equal(t, a, got)
		require.NotEqual(t, "unknown status", status.String())
	}
	_, err := link.ParseAnswer(link.Answer{Status: 200}.Append(nil))
	require.ErrorIs(t, err, link.ErrMalformed)
	require.Equal(t, "unknown status", link.Status(200).String())
}

func TestInterestsKeepTheBoundsAndLoseNothing(t *testing.T) {
	short := make([]string, 25_000)
	for i := range short {
		short[i] = fmt.Sprintf("ch_%d", i)
	}
	long := make([]string, 9_000)
	for i := range long {
		long[i] = fmt.Sprintf("user:%s%06d", strings.Repeat("u", 122), i)
	}
	for name, c := range map[string]struct {
		add, remove []string
		requests    int
	}{
		"nothing is a heartbeat": {nil, nil, 1},
		"one":                    {short[:1], nil, 1},
		"full":                   {short[:6_000], short[6_000:10_000], 1},
		"one too many":           {short[:6_001], short[6_001:10_002], 2},
		"many":                   {short, nil, 3},
		"bytes":                  {long, nil, 3},
	} {
		t.Run(name, func(t *testing.T) {
			var add, remove []string
			n := 0
			for i := range link.Interests(9, c.add, c.remove) {
				b := i.Append(nil)
				require.Less(t, len(b), link.MaxFrame)
				got, err := link.ParseRequest(b)
				require.NoError(t, err)
				require.Equal(t, link.ID(9), got.(link.Interest).Link)
				add, remove = append(add, i.Add...), append(remove, i.Remove...)
				n++
			}
			require.Equal(t, c.requests, n)
			require.True(t, slices.Equal(c.add, add))
			require.True(t, slices.Equal(c.remove, remove))
		})
	}
	for range link.Interests(1, short, nil) {
		break // may stop early
	}
}

func TestNames(t *testing.T) {
	require.Equal(t, "notify.a%2Eb", link.NotifySubject("a.b"))
	require.Equal(t, "fanout.f1.interest", link.InterestSubject("f1"))
	require.Equal(t, "ch_a", link.ChannelKey(events.ChannelID("ch_a")))
	require.Equal(t, "user:ann", link.UserKey(events.UserID("ann")))
	a, b := link.NewLinkID(), link.NewLinkID()
	require.NotZero(t, a)
	require.NotEqual(t, a, b)
	require.Equal(t, "ff", link.ID(255).String())
}

func FuzzParseRequest(f *testing.F) {
	for _, r := range requests() {
		f.Add(r.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := link.ParseRequest(b)
		if err != nil {
			require.ErrorIs(t, err, link.ErrMalformed)
			return
		}
		again, err := link.ParseRequest(r.Append(nil))
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}

func FuzzParseAnswer(f *testing.F) {
	f.Add(link.Answer{Link: 1, FanOut: "f", Positions: link.Positions{Messages: 1, Metadata: 2}}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := link.ParseAnswer(b)
		if err != nil {
			require.ErrorIs(t, err, link.ErrMalformed)
			return
		}
		again, err := link.ParseAnswer(a.Append(nil))
		require.NoError(t, err)
		require.Equal(t, a, again)
	})
}
