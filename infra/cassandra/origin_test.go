//go:build integration

package cassandra_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/cassandra"
)

// A keyspace of a version that did not keep whose it is, and one of which
// somebody has dropped that table.
func TestAnOlderKeyspace(t *testing.T) {
	cfg := config(t)
	dropAfter(t, cfg)
	s := openOn(t, cfg, cassandra.OpenObserved, nil)
	for _, statement := range []string{"DROP TABLE origins", "DELETE FROM schema_versions WHERE part = 'messages' AND version = 2"} {
		require.NoError(t, s.Session().Query(statement).ExecContext(t.Context()))
	}
	s = openOn(t, cfg, cassandra.OpenObserved, nil)
	of, err := s.Claim(t.Context(), "a log")
	require.NoError(t, err)
	require.Equal(t, "a log", of)

	require.NoError(t, s.Session().Query("DROP TABLE origins").ExecContext(t.Context()))
	_, err = s.Claim(t.Context(), "another log")
	require.Error(t, err)
	of, err = s.Claim(t.Context(), "another log")
	require.NoError(t, err, "it was made anew")
	require.Equal(t, "another log", of)
}
