package frontdoor

import (
	"net/http"
	"strings"

	"github.com/chat-platform/chat/events"
)

const codeTokenMissing = "token_missing"

// maxToken is the longest token that is worth verifying, in bytes.
const maxToken = 16 << 10

// authenticate finds the caller by the bearer token.
func (x *exchange) authenticate(h http.Header) (events.Caller, error) {
	token, err := bearer(h)
	if err != nil {
		return events.Caller{}, err
	}
	if x.f.verifier == nil {
		return events.Caller{}, events.NewFault(events.ErrUnauthenticated, "token_invalid", "", "no token is accepted here")
	}
	return x.f.verifier.Verify(x.ctx, token)
}

func bearer(h http.Header) (string, error) {
	values := h["Authorization"]
	if len(values) == 0 {
		return "", events.NewFault(events.ErrUnauthenticated, codeTokenMissing, "", "the request has no bearer token")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken {
		return "", events.NewFault(events.ErrUnauthenticated, "token_invalid", "", "the Authorization header is not \"Bearer\" and one token")
	}
	return token, nil
}
