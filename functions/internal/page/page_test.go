package page_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/page"
)

func TestLimit(t *testing.T) {
	for n, want := range map[int]int{0: 50, 1: 1, 50: 50, 100: 100} {
		got, err := page.Limit(n)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, n := range []int{-1, 101, 1 << 40} {
		_, err := page.Limit(n)
		require.ErrorIs(t, err, events.ErrInvalid, "limit %d", n)
	}
}

func TestCursorKeepsItsPlaceAndItsList(t *testing.T) {
	c := page.Cursor(page.MyChannels, "ch_general")
	place, err := page.Place(page.MyChannels, c)
	require.NoError(t, err)
	require.Equal(t, "ch_general", place)

	start, err := page.Place(page.Hits, "")
	require.NoError(t, err)
	require.Empty(t, start)

	for name, bad := range map[string]string{
		"another list's": page.Cursor(page.PublicChannels, "ch_general"),
		"no place":       page.Cursor(page.MyChannels, ""),
		"not base64url":  "!!",
		"padded":         c + "==",
		"other version":  "Am1jaF9nZW5lcmFs",
		"endless":        page.Cursor(page.MyChannels, strings.Repeat("x", 1000)),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := page.Place(page.MyChannels, bad)
			require.ErrorIs(t, err, events.ErrInvalid)
			var f *events.Fault
			require.ErrorAs(t, err, &f)
			require.Equal(t, "invalid_cursor", f.Code)
		})
	}
}

func FuzzPlace(f *testing.F) {
	f.Add(page.Cursor(page.Hits, "42"))
	f.Add("")
	f.Add("AWg")
	f.Fuzz(func(t *testing.T, cursor string) {
		place, err := page.Place(page.Hits, cursor)
		if err != nil {
			require.ErrorIs(t, err, events.ErrInvalid)
			return
		}
		if place == "" {
			require.Empty(t, cursor)
			return
		}
		again, err := page.Place(page.Hits, page.Cursor(page.Hits, place))
		require.NoError(t, err)
		require.Equal(t, place, again)
	})
}
