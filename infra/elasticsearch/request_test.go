//go:build integration

package elasticsearch_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// request speaks to a server past the store.
func request(t testing.TB, url, method, path string, body, answer any) {
	t.Helper()
	b, err := json.Marshal(body)
	require.NoError(t, err)
	if body == nil {
		b = nil
	}
	req, err := http.NewRequest(method, url+path, bytes.NewReader(b))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err = io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Less(t, res.StatusCode, 300, "%s %s: %s", method, path, b)
	if answer != nil {
		require.NoError(t, json.Unmarshal(b, answer))
	}
}
