package notification_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/longrunning/notification"
)

// pipes is a listener whose connections are pipes, which fake time can cover.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// inBubble runs f with an instance in fake time.
func inBubble(t *testing.T, cfg notification.Config, f func(t *testing.T, connect func(user string) *plug, stop func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{channel: "ch_a"}
		cfg.Logger = slog.New(slog.DiscardHandler)
		s := notification.New(m, m, verifier{}, cfg)
		ln := pipes{make(chan net.Conn), make(chan struct{})}
		srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: time.Second}
		go func() { _ = srv.Serve(ln) }()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		require.NoError(t, s.Ready(ctx))
		f(t, func(user string) *plug {
			client, server := net.Pipe()
			ln.conns <- server
			return newPlug(t, client, user)
		}, cancel)
		cancel()
		require.NoError(t, <-done)
		_ = srv.Close()
	})
}

// code reads until the close frame and answers it.
func (p *plug) code(t *testing.T) (ws.StatusCode, string) {
	t.Helper()
	for {
		h, err := ws.ReadHeader(p.r)
		require.NoError(t, err)
		payload := make([]byte, h.Length)
		_, err = io.ReadFull(p.r, payload)
		require.NoError(t, err)
		if h.OpCode == ws.OpClose {
			code, reason := ws.ParseCloseFrameData(payload)
			require.NoError(t, ws.WriteFrame(p.Conn, ws.MaskFrameInPlace(ws.NewCloseFrame(ws.NewCloseFrameBody(code, "")))))
			_, err := io.ReadAll(p.r)
			require.NoError(t, err, "the server closes after the client's answer")
			return code, reason
		}
	}
}

func TestHeartbeatsKeepASessionForAsLongAsTheyCome(t *testing.T) {
	inBubble(t, notification.Config{}, func(t *testing.T, connect func(string) *plug, _ func()) {
		t.Helper()
		p := connect("alice")
		for range 100 {
			<-time.After(34 * time.Second)
			p.say(t, `{"op":"heartbeat"}`)
			require.Equal(t, "heartbeat_ack", p.next(t).Op)
		}
		last := time.Now()
		code, _ := p.code(t)
		require.Equal(t, notification.CloseHeartbeat, code)
		require.InDelta(t, 35.5, time.Since(last).Seconds(), 1)
	})
}

func TestATokenEndsASessionUnlessItIsRenewed(t *testing.T) {
	inBubble(t, notification.Config{HeartbeatInterval: time.Hour}, func(t *testing.T, connect func(string) *plug, _ func()) {
		t.Helper()
		p := connect("alice/5m")
		begin := time.Now()
		<-time.After(4 * time.Minute)
		p.say(t, `{"op":"reauthenticate","token":"alice/10m"}`)
		code, _ := p.code(t)
		require.Equal(t, notification.CloseTokenExpired, code)
		require.InDelta(t, (14 * time.Minute).Seconds(), time.Since(begin).Seconds(), 2)
	})
}

func TestADrainIsSpread(t *testing.T) {
	inBubble(t, notification.Config{DrainSpread: 10 * time.Second}, func(t *testing.T, connect func(string) *plug, stop func()) {
		t.Helper()
		const n = 20
		ends := make(chan time.Duration, n)
		for range n {
			p := connect("alice")
			go func() {
				assert.Equal(t, "reconnect", p.next(t).Op)
				begin := time.Now()
				code, _ := p.code(t)
				assert.Equal(t, notification.CloseGoingAway, code)
				ends <- time.Since(begin)
			}()
		}
		synctest.Wait()
		stop()
		different := map[time.Duration]bool{}
		for range n {
			different[<-ends] = true
		}
		require.Len(t, different, n, "no two come back at the same time")
	})
}

// A client that never answers a close frame, nor reads, is cut off.
func TestACloseDoesNotWaitForEver(t *testing.T) {
	inBubble(t, notification.Config{}, func(t *testing.T, connect func(string) *plug, stop func()) {
		t.Helper()
		p := connect("alice")
		stop()
		<-time.After(time.Minute)
		_, err := p.Write([]byte{0})
		require.Error(t, err)
	})
}
