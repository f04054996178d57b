//go:build integration

package mongodb_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/mongodb"
	"github.com/chat-platform/chat/infra/stores"
)

// cable is a connection to the server that can be cut and mended.
type cable struct {
	tb           testing.TB
	addr, server string

	mu    sync.Mutex
	ln    net.Listener
	conns []net.Conn
}

func newCable(tb testing.TB, server string) *cable {
	tb.Helper()
	c := &cable{tb: tb, addr: "127.0.0.1:0", server: server}
	c.mend()
	tb.Cleanup(c.cut)
	return c
}

func (c *cable) mend() {
	ln, err := net.Listen("tcp", c.addr)
	require.NoError(c.tb, err)
	c.ln, c.addr = ln, ln.Addr().String()
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", c.server)
			if err != nil {
				_ = in.Close()
				continue
			}
			c.mu.Lock()
			c.conns = append(c.conns, in, out)
			c.mu.Unlock()
			pass := func(to, from net.Conn) { _, _ = io.Copy(to, from); _ = to.Close() }
			go pass(in, out)
			go pass(out, in)
		}
	}()
}

func (c *cable) cut() {
	_ = c.ln.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

func TestAnOutageEnds(t *testing.T) {
	cfg := config(t)
	direct := openStore(t, cfg)
	u, err := url.Parse(cfg.URL)
	require.NoError(t, err)
	line := newCable(t, u.Host)
	u.Host, u.Path, u.RawQuery = line.addr, "/", "directConnection=true"
	cfg.URL, cfg.Timeout = u.String(), 4*time.Second
	s, err := mongodb.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	m := member("ch_1", "ann", 1, true)
	require.NoError(t, s.PutMembers(t.Context(), []events.Member{m}))

	line.cut()
	require.ErrorIs(t, s.Ping(t.Context()), events.ErrUnavailable)
	require.ErrorIs(t, s.PutMembers(t.Context(), []events.Member{member("ch_1", "bob", 2, true)}), events.ErrUnavailable)
	_, err = s.MembersOf(t.Context(), "ch_1", "", 10)
	require.ErrorIs(t, err, events.ErrUnavailable)
	_, err = s.Checksums(t.Context(), stores.All)
	require.ErrorIs(t, err, events.ErrUnavailable)

	line.mend()
	require.Eventually(t, func() bool { return s.Ping(t.Context()) == nil }, 30*time.Second, 50*time.Millisecond)
	require.NoError(t, s.PutMembers(t.Context(), []events.Member{member("ch_1", "bob", 2, true)}))
	for _, store := range []*mongodb.Store{s, direct} {
		ms, err := store.MembersOf(t.Context(), "ch_1", "", 10)
		require.NoError(t, err)
		require.Equal(t, []events.Member{m, member("ch_1", "bob", 2, true)}, ms)
	}
}
