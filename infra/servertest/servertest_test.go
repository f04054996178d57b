//go:build integration

package servertest_test

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// redis sends one command and gives the answer's first line.
func redis(t *testing.T, address, command string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	c, err := net.DialTimeout("tcp", u.Host, 10*time.Second)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = fmt.Fprintf(c, "%s\r\n", command)
	require.NoError(t, err)
	line, err := bufio.NewReader(c).ReadString('\n')
	require.NoError(t, err)
	return line
}

func TestRedis(t *testing.T) {
	require.Equal(t, "+PONG\r\n", redis(t, servertest.Redis(t), "PING"))
	require.Equal(t, servertest.Redis(t), servertest.Redis(t), "one server for all")
}

func TestNATS(t *testing.T) {
	log, err := nats.Open(t.Context(), nats.Config{URL: servertest.NATS(t), ConnectWait: 10 * time.Second})
	require.NoError(t, err)
	defer log.Close()
	require.NoError(t, log.Ping(t.Context()))
}

// What a killed server acknowledged is there when it is back, at the same
// address.
func TestKillAndRestart(t *testing.T) {
	srv := servertest.Start(t, servertest.ProductNATS)
	log, err := nats.Open(t.Context(), nats.Config{URL: srv.Address(), ConnectWait: 10 * time.Second})
	require.NoError(t, err)
	defer log.Close()
	e := events.Event{ID: "evt_1", Source: "/test", Type: events.TypeMessageSent, Subject: "messages.send.ch_a", Data: []byte(`{}`)}
	ack, err := log.Publish(t.Context(), e)
	require.NoError(t, err)

	srv.Kill(t)
	require.Eventually(t, func() bool { return log.Ping(t.Context()) != nil }, 10*time.Second, 10*time.Millisecond)
	srv.Restart(t)
	require.Eventually(t, func() bool { return log.Ping(t.Context()) == nil }, 30*time.Second, 10*time.Millisecond)
	stored, err := log.BySequence(t.Context(), events.StreamMessages, ack.Seq)
	require.NoError(t, err)
	require.Equal(t, "evt_1", stored.ID)
	srv.Stop(t)
	require.Eventually(t, func() bool { return log.Ping(t.Context()) != nil }, 10*time.Second, 10*time.Millisecond)
}
