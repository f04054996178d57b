package nats_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/nats"
)

func TestConfigOfSecurity(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for want, c := range map[string]nats.Config{
		"NATS_USER and NATS_CREDENTIALS": {User: "a", Credentials: "b"},
		"expected NATS_USER as well":     {Password: "a"},
		"NATS_CERT and NATS_KEY":         {Cert: "a"},
		"NATS_INBOX_PREFIX is \"a.>\"":   {InboxPrefix: "a.>"},
		"NATS_INBOX_PREFIX is \"a.\"":    {InboxPrefix: "a."},
		"NATS_CREDENTIALS: ":             {Credentials: "/nowhere.creds"},
		"NATS_CA: open":                  {CA: "/nowhere.pem"},
		"holds no certificate":           {CA: empty},
		"NATS_CERT: ":                    {Cert: empty, Key: empty},
	} {
		require.ErrorContains(t, c.Validate(), want)
		_, err := nats.Open(t.Context(), c)
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, nats.Config{}.Validate())
	require.NoError(t, nats.Config{User: "a", Password: "b", InboxPrefix: "_INBOX_a"}.Validate())
}

func TestWhereKeepsSecrets(t *testing.T) {
	for url, want := range map[string]string{
		"nats://127.0.0.1:4222":                    "nats://127.0.0.1:4222",
		"nats://ann:s3cr3t@one:4222, tls://t@two":  "nats://one:4222,tls://two",
		"ann:p@ss@one:4222":                        "one:4222",
		"nats://ann:p@ss@one:4222,nats://two:4222": "nats://one:4222,nats://two:4222",
	} {
		require.Equal(t, want, nats.Config{URL: url}.Where())
	}
}

func TestConfigOfPartitions(t *testing.T) {
	for _, n := range []int{0, 1, nats.PartitionsMost} {
		require.NoError(t, nats.Config{Partitions: n}.Validate())
	}
	for _, n := range []int{-1, nats.PartitionsMost + 1} {
		require.ErrorContains(t, nats.Config{Partitions: n}.Validate(), "NATS_PARTITIONS")
	}
}
