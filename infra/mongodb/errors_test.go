package mongodb_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/mongodb"
)

func TestKindOfErrors(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	code := func(n int32) error { return mongo.CommandError{Code: n, Message: "said the server"} }
	bulk := func(codes ...int) error {
		e := mongo.BulkWriteException{}
		for _, c := range codes {
			e.WriteErrors = append(e.WriteErrors, mongo.BulkWriteError{WriteError: mongo.WriteError{Code: c}})
		}
		return e
	}
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		want error // nil: as it is, of no kind
	}{
		{"not the primary", t.Context(), code(10107), events.ErrUnavailable},
		{"no right", t.Context(), code(13), events.ErrUnavailable},
		{"a wrong password", t.Context(), code(18), events.ErrUnavailable},
		{"the time is up", t.Context(), code(50), events.ErrUnavailable},
		{"the disk is full", t.Context(), bulk(14031), events.ErrUnavailable},
		{"a label", t.Context(), mongo.CommandError{Code: 1, Labels: []string{"RetryableWriteError"}}, events.ErrUnavailable},
		{"the network", t.Context(), mongo.CommandError{Labels: []string{"NetworkError"}, Wrapped: io.EOF}, events.ErrUnavailable},
		{"no majority in time", t.Context(), mongo.BulkWriteException{WriteConcernError: &mongo.WriteConcernError{Code: 64}}, events.ErrUnavailable},
		{"its own time is up", t.Context(), fmt.Errorf("x: %w", context.DeadlineExceeded), events.ErrUnavailable},
		{"closed", t.Context(), mongo.ErrClientDisconnected, events.ErrUnavailable},
		{"too large", t.Context(), code(10334), events.ErrInvalid},
		{"one of a bulk is too large", t.Context(), bulk(11000, 17420), events.ErrInvalid},
		{"not BSON", t.Context(), mongo.MarshalError{Err: errors.New("x")}, events.ErrInvalid},
		{"the caller has gone", cancelled, mongo.CommandError{Labels: []string{"NetworkError"}}, context.Canceled},
		{"a fault", t.Context(), events.ErrChannelNotFound, events.ErrNotFound},
		{"a code that nobody knows", t.Context(), code(4242), nil},
		{"no server's", t.Context(), errors.New("x"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := mongodb.KindOf(c.ctx, c.err)
			require.ErrorContains(t, got, c.err.Error())
			if c.want != nil {
				require.ErrorIs(t, got, c.want)
				return
			}
			for _, kind := range []error{events.ErrUnavailable, events.ErrInvalid, events.ErrNotFound, context.Canceled} {
				require.NotErrorIs(t, got, kind)
			}
		})
	}
}

func TestDuplicatesAreSentAgain(t *testing.T) {
	dup, other := mongo.BulkWriteError{WriteError: mongo.WriteError{Code: 11000, Index: 1}}, mongo.BulkWriteError{WriteError: mongo.WriteError{Code: 112}}
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"only duplicates", mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{dup, dup}}, 2},
		{"wrapped", fmt.Errorf("x: %w", mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{dup}}), 1},
		{"something else too", mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{dup, other}}, 0},
		{"no majority", mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{dup}, WriteConcernError: &mongo.WriteConcernError{Code: 64}}, 0},
		{"the network", mongo.CommandError{Labels: []string{"NetworkError"}}, 0},
	} {
		require.Equal(t, c.want, mongodb.Duplicates(c.err, 2), c.name)
	}
}

func TestOpenWithoutAServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := ln.Addr().String()
	require.NoError(t, ln.Close())

	registry := prometheus.NewRegistry()
	for range 2 { // the second shares the metrics of the first
		_, err = mongodb.Open(t.Context(), mongodb.Config{URL: "mongodb://chat:s3cret@" + addr, Timeout: 100 * time.Millisecond, Registerer: registry})
		require.ErrorIs(t, err, events.ErrUnavailable)
		require.ErrorContains(t, err, addr)
		require.NotContains(t, err.Error(), "s3cret")
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Equal(t, "chat_mongodb_seconds", families[0].GetName())

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = mongodb.Open(ctx, mongodb.Config{URL: "mongodb://" + addr})
	require.ErrorIs(t, err, context.Canceled)
}

// A server that takes connections and never answers.
func TestOpenWithoutAnAnswer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ln.Close()) })
	_, err = mongodb.Open(t.Context(), mongodb.Config{URL: "mongodb://" + ln.Addr().String(), Timeout: 100 * time.Millisecond})
	require.ErrorIs(t, err, events.ErrUnavailable)
}

func TestAConnectionStringThatIsWrong(t *testing.T) {
	for _, url := range []string{
		"mongo://chat:s3cret@localhost", "mongodb://chat:s3cret@localhost:port", "mongodb://chat:s3cret%zz@localhost",
		"mongodb://chat:s3cret@localhost/?w=majority&directConnection=maybe", "mongodb://", "localhost",
	} {
		_, err := mongodb.Open(t.Context(), mongodb.Config{URL: url})
		require.ErrorContains(t, err, "MONGODB_URL", url)
		require.NotContains(t, err.Error(), "s3cret", url)
	}
}
