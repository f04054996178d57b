package notification

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/longrunning/internal/link"
)

func TestWitness(t *testing.T) {
	var w witness
	require.Zero(t, w.base(5))
	w.saw(10, 2)
	w.saw(20, 2) // the same end of METADATA, later messages
	w.saw(30, 5)
	w.saw(15, 4) // late
	for metadata, want := range map[uint64]uint64{0: 0, 1: 0, 2: 20, 4: 20, 5: 30, 100: 30} {
		require.Equal(t, want, w.base(metadata), metadata)
	}
	require.Equal(t, cursor{link.Positions{Messages: 25, Metadata: 9}, 25}, w.cursor(link.Positions{Messages: 25, Metadata: 9}), "base is no later than the place")
	for n := range uint64(3 * maxSightings) {
		w.saw(100+n, 100+n)
	}
	require.LessOrEqual(t, len(w.pairs), maxSightings)
	require.EqualValues(t, 99+3*maxSightings, w.base(1<<60))
	require.Zero(t, w.base(100), "forgotten")
	w.reset()
	require.Zero(t, w.base(1<<60))
}
