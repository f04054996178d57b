package frontdoor_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestClientsThatGiveUpWedgeNobody is the experiment that the SDK's receiver
// fails: its handlers share one unbuffered channel, and where clients cancel it
// ends up serving nobody.
func TestClientsThatGiveUpWedgeNobody(t *testing.T) {
	const clients, rounds, patience = 40, 30, 20 * time.Second
	var entered atomic.Int64
	f := frontdoor.Writer(frontdoor.Spec{Name: "store"}, func(ctx context.Context, _ []events.Event) error {
		entered.Add(1)
		select { // some work
		case <-time.After(time.Millisecond):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, frontdoor.WithLogger(silent))
	server := httptest.NewServer(f.Alone())
	defer server.Close()
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	post := func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader(structured("1", "a", `{}`)))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/cloudevents+json")
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		if err == nil && res.StatusCode != http.StatusOK {
			return &http.ProtocolError{ErrorString: res.Status}
		}
		return err
	}

	var healthy, failed, gaveUp atomic.Int64
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for round := range rounds {
				if c%2 == 0 {
					if post(time.Duration(round%4) * 500 * time.Microsecond); t.Context().Err() == nil {
						gaveUp.Add(1)
					}
					continue
				}
				healthy.Add(1)
				if post(patience) != nil {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, clients/2*rounds, healthy.Load())
	assert.EqualValues(t, clients/2*rounds, gaveUp.Load())
	assert.Zero(t, failed.Load(), "healthy requests that were not served")
	for i := range 10 {
		require.NoError(t, post(patience), "request %d to the idle server", i)
	}
	assert.GreaterOrEqual(t, entered.Load(), healthy.Load()+10)
}
