package platform_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/local/platform/platformtest"
)

// login gives the access and the ID token of a new session.
func login(t *testing.T, p *platformtest.Platform, user string) (access, id string) {
	t.Helper()
	res, err := http.PostForm(p.URL+"/dev/token", url.Values{"grant_type": {"password"}, "username": {user}, "scope": {"openid"}})
	require.NoError(t, err)
	defer res.Body.Close()
	var answer struct {
		Access string `json:"access_token"`
		ID     string `json:"id_token"`
	}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&answer))
	require.NotEmpty(t, answer.ID)
	return answer.Access, answer.ID
}

func callWith(t *testing.T, p *platformtest.Platform, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL+"/v1/channels", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b)
}

// Whoever logs out is out: the socket closes and the token, which has minutes to
// live, is refused; also after a restart. Another session of theirs goes on.
func TestLogout(t *testing.T) {
	p := platformtest.Start(t, "")
	access, id := login(t, p, "alice")
	other, _ := login(t, p, "alice")
	conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(p.URL, "http")+"/ws", nil)
	require.NoError(t, err)
	defer conn.CloseNow()
	require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte(`{"op":"identify","token":"`+access+`"}`)))
	for said := ""; !strings.Contains(said, `"op":"ready"`); {
		_, b, err := conn.Read(t.Context())
		require.NoError(t, err)
		said = string(b)
	}
	status, _ := callWith(t, p, access)
	require.Equal(t, http.StatusOK, status)

	res, err := http.PostForm(p.URL+"/dev/logout", url.Values{"id_token_hint": {id}})
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	for err == nil {
		_, _, err = conn.Read(t.Context())
	}
	var closed websocket.CloseError
	require.ErrorAs(t, err, &closed)
	assert.EqualValues(t, 4502, closed.Code)
	assert.Equal(t, "logged_out", closed.Reason)
	status, body := callWith(t, p, access)
	assert.Equal(t, http.StatusUnauthorized, status)
	assert.Contains(t, body, `"code":"token_revoked"`)
	status, _ = callWith(t, p, other)
	assert.Equal(t, http.StatusOK, status)

	require.Zero(t, p.Stop(t), p.Output())
	p = platformtest.Start(t, p.Dir, "PORT="+p.URL[strings.LastIndex(p.URL, ":")+1:]) // the issuer's URL is in the token
	status, body = callWith(t, p, access)
	assert.Equal(t, http.StatusUnauthorized, status)
	assert.Contains(t, body, `"code":"token_revoked"`)
}
