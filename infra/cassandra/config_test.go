package cassandra_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/caarlos0/env/v11"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/cassandra"
)

func TestConfig(t *testing.T) {
	require.NoError(t, cassandra.Config{}.Validate(), "the zero value is a node on this machine")
	for want, c := range map[string]cassandra.Config{
		"CASSANDRA_KEYSPACE is \"Chat; DROP\"": {Keyspace: "Chat; DROP"},
		"CASSANDRA_DATACENTER is \"a'b\"":      {Datacenter: "a'b"},
		"CASSANDRA_CONSISTENCY is \"SOME\"":    {Consistency: "SOME"},
		"CASSANDRA_CONSISTENCY is \"ANY\"":     {Consistency: "ANY"},
		"CASSANDRA_CERT and CASSANDRA_KEY":     {Cert: "c.pem"},
		"CASSANDRA_URL has \"cassandra://x\"":  {Hosts: []string{"cassandra://x"}},
		"CASSANDRA_URL has \"x:y\"":            {Hosts: []string{"ok:9042", "x:y"}},
	} {
		require.ErrorContains(t, c.Validate(), want)
		_, err := cassandra.Open(t.Context(), c)
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, cassandra.Config{Consistency: "quorum", Hosts: []string{"a", "b:9043"}, Datacenter: "eu-west_1"}.Validate())

	c, err := env.ParseAsWithOptions[cassandra.Config](env.Options{Environment: map[string]string{
		"CASSANDRA_URL": "one:9042,two:9042", "CASSANDRA_SPECULATE_AFTER": "-1s",
	}})
	require.NoError(t, err)
	require.NoError(t, c.Validate())
	require.Equal(t, []string{"one:9042", "two:9042"}, c.Hosts)
	require.Equal(t, "LOCAL_QUORUM", c.Consistency)
}

func TestOpenGivesUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := l.Addr().String()
	require.NoError(t, l.Close())
	_, err = cassandra.Open(t.Context(), cassandra.Config{Hosts: []string{nobody}, ConnectWait: 300 * time.Millisecond})
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorContains(t, err, nobody)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = cassandra.Open(ctx, cassandra.Config{Hosts: []string{nobody}})
	require.ErrorIs(t, err, events.ErrUnavailable)
}

func TestOpenRefusesFilesThatAreMissing(t *testing.T) {
	_, err := cassandra.Open(t.Context(), cassandra.Config{CA: "/nowhere/ca.pem", ConnectWait: 300 * time.Millisecond})
	require.ErrorContains(t, err, "/nowhere/ca.pem")
}

type requestError int

func (e requestError) Code() int       { return int(e) }
func (e requestError) Message() string { return "" }
func (e requestError) Error() string   { return fmt.Sprintf("code %x", int(e)) }

func TestKinds(t *testing.T) {
	for _, err := range []error{
		gocql.ErrNoConnections, gocql.ErrConnectionClosed, gocql.ErrSessionClosed, gocql.ErrTimeoutNoResponse,
		context.DeadlineExceeded, io.EOF, &net.OpError{Op: "dial", Err: errors.New("refused")},
		requestError(gocql.ErrCodeUnavailable), requestError(gocql.ErrCodeOverloaded), requestError(gocql.ErrCodeBootstrapping),
		requestError(gocql.ErrCodeWriteTimeout), requestError(gocql.ErrCodeReadTimeout), requestError(gocql.ErrCodeServer),
		requestError(gocql.ErrCodeTruncate), requestError(gocql.ErrCodeReadFailure), requestError(gocql.ErrCodeWriteFailure),
	} {
		require.Equal(t, events.ErrUnavailable, cassandra.KindOf(fmt.Errorf("wrapped: %w", err)), "%v", err)
	}
	for _, err := range []error{
		context.Canceled, errors.New("other"), requestError(gocql.ErrCodeSyntax), requestError(gocql.ErrCodeInvalid), requestError(gocql.ErrCodeUnauthorized),
	} {
		require.NoError(t, cassandra.KindOf(err), "%v", err)
	}
}

func TestStatements(t *testing.T) {
	require.Equal(t, []string{"CREATE a", "CREATE\n  b"}, cassandra.Statements("-- first; not one\nCREATE a; -- the end\n\nCREATE\n  b;\n;\n"))
	require.Empty(t, cassandra.Statements(""))
}
