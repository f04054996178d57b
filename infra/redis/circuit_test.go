package redis

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var errDown = errors.New("down")

// server is probed; it notes what the circuit says.
type server struct {
	up     atomic.Bool
	probes atomic.Int64
	said   []bool
}

func (s *server) probe(context.Context) error {
	s.probes.Add(1)
	if s.up.Load() {
		return nil
	}
	return errDown
}

func (s *server) changed(degraded bool, _ error) { s.said = append(s.said, degraded) }

func call(c *circuit, err error) bool {
	if !c.enter() {
		return false
	}
	c.leave(err)
	return true
}

func TestCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		c := newCircuit(4, s.probe, s.changed)
		defer c.close()
		for range 10 { // a failure now and then is none
			require.True(t, call(c, errDown))
			require.True(t, call(c, errDown))
			require.True(t, call(c, nil))
		}
		require.False(t, c.open())
		for range tolerated {
			require.True(t, call(c, errDown))
		}
		require.True(t, c.open())
		require.False(t, call(c, nil), "nobody waits for what does not answer")
		<-time.After(time.Minute)
		synctest.Wait()
		require.Greater(t, s.probes.Load(), int64(20))
		require.Less(t, s.probes.Load(), int64(100), "probes back off")

		s.up.Store(true)
		<-time.After(2 * probeMax)
		synctest.Wait()
		require.False(t, c.open())
		require.Equal(t, []bool{true, false}, s.said, "said once each")

		// Calls come back one more at a time.
		for at := range 3 {
			for range at + 1 {
				require.True(t, c.enter())
			}
			require.False(t, c.enter(), "more than %d at a time", at+1)
			c.leave(nil)
			for range at { // began before the bound was wider
				c.inFlight.Add(-1)
			}
		}
		for range 100 {
			require.True(t, c.enter())
		}

		// One failure on the way back is enough.
		c.bound.Store(2)
		c.leave(errDown)
		require.True(t, c.open())
		c.leave(nil) // the others began before
		c.leave(errDown)
		require.True(t, c.open())
		require.Equal(t, []bool{true, false, true}, s.said)
	})
}

func TestAClosedCircuitStaysOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		c := newCircuit(4, s.probe, s.changed)
		c.trip(errDown)
		c.close()
		require.False(t, c.enter())
		c.trip(errDown)
		s.up.Store(true)
		<-time.After(time.Minute)
		require.True(t, c.open())
		require.Equal(t, []bool{true}, s.said)
	})
}

// A server that is up whenever it is probed, and fails all calls, is left alone
// for longer and longer; one that has worked for a while begins anew.
func TestAServerThatComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		s.up.Store(true)
		c := newCircuit(4, s.probe, s.changed)
		defer c.close()
		end := time.Now().Add(10 * time.Minute)
		for time.Now().Before(end) {
			call(c, errDown)
			<-time.After(10 * time.Millisecond)
		}
		flaps := s.probes.Load()
		require.Less(t, flaps, int64(60))
		for c.open() {
			<-time.After(time.Millisecond)
		}
		<-time.After(2 * settled)
		c.trip(errDown)
		<-time.After(2 * probeMin)
		require.False(t, c.open())
	})
}
