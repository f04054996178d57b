package frontdoor

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
)

const maxRequestID = 128

type requestIDKey struct{}

// RequestID is the id of the request that is being served, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

func withRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// requestID takes the client's X-Request-Id if it is 1 to 128 printable ASCII
// characters, or makes one: unique, no secret.
func requestID(header http.Header) string {
	if h := header["X-Request-Id"]; len(h) == 1 && printable(h[0]) {
		return h[0]
	}
	var b [16]byte
	for i, n := range [2]uint64{rand.Uint64(), rand.Uint64()} { // it need not be hard to guess
		for j := range 8 {
			b[8*i+j] = byte(n >> (8 * j))
		}
	}
	return hex.EncodeToString(b[:])
}

func printable(s string) bool {
	if s == "" || len(s) > maxRequestID {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
