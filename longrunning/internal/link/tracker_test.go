package link_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/longrunning/internal/link"
)

func TestTracker(t *testing.T) {
	type step struct {
		link, number uint64
		last         bool
		want         link.Verdict
	}
	for name, c := range map[string]struct {
		steps []step
		over  bool
	}{
		"in order":          {[]step{{1, 1, false, link.Deliver}, {1, 2, false, link.Deliver}}, false},
		"another link":      {[]step{{2, 1, false, link.Ignore}, {1, 1, false, link.Deliver}, {2, 9, true, link.Ignore}}, false},
		"first is missing":  {[]step{{1, 2, false, link.Broken}}, true},
		"hole":              {[]step{{1, 1, false, link.Deliver}, {1, 3, false, link.Broken}, {1, 2, false, link.Broken}}, true},
		"repetition":        {[]step{{1, 1, false, link.Deliver}, {1, 1, false, link.Broken}}, true},
		"ended by fan-out":  {[]step{{1, 1, true, link.Deliver}, {1, 2, false, link.Broken}}, true},
		"nothing came yet":  {nil, false},
		"zero link ignored": {[]step{{0, 1, false, link.Ignore}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			tr := link.Track(1, now)
			for _, s := range c.steps {
				f := link.Frame{Link: link.ID(s.link), Number: s.number, Last: s.last}
				require.Equal(t, s.want, tr.Take(f, now), "frame %+v", s)
			}
			require.Equal(t, c.over, tr.Over(now))
		})
	}
}

func TestTrackerNoticesSilence(t *testing.T) {
	now := time.Now()
	tr := link.Track(1, now)
	require.Equal(t, link.ID(1), tr.Link())
	now = now.Add(link.SilenceAfter - 1)
	require.False(t, tr.Over(now))
	require.Equal(t, link.Deliver, tr.Take(link.Frame{Link: 1, Number: 1}, now))
	now = now.Add(link.SilenceAfter - 1)
	require.False(t, tr.Over(now))
	require.True(t, tr.Over(now.Add(1)))
	var none link.Tracker
	require.Equal(t, link.Ignore, none.Take(link.Frame{}, now))
}
