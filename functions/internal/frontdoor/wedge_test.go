package frontdoor_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
)

// TestClientsThatGiveUpWedgeNobody is the experiment that the SDK's receiver
// fails: its handlers share one unbuffered channel, and where clients cancel it
// ends up serving nobody.
func TestClientsThatGiveUpWedgeNobody(t *testing.T) {
	const clients, rounds, patience = 40, 30, time.Minute
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
	// Two transports: a request that is cancelled just as it ends fails the next
	// one on its connection, with its own error, inside net/http's client.
	newClient := func() *http.Client {
		transport := &http.Transport{MaxIdleConnsPerHost: clients}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport}
	}
	patient, impatient := newClient(), newClient()

	post := func(client *http.Client, limit time.Duration) error {
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
			return errors.New(res.Status)
		}
		return err
	}

	var healthy, failed, gaveUp atomic.Int64
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for round := range rounds {
				if c%2 == 0 {
					if post(impatient, time.Duration(round%4)*500*time.Microsecond) != nil {
						gaveUp.Add(1)
					}
					continue
				}
				healthy.Add(1)
				if err := post(patient, patience); err != nil {
					failed.Add(1)
					t.Log(err)
				}
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, clients/2*rounds, healthy.Load())
	assert.GreaterOrEqual(t, gaveUp.Load(), int64(clients/2*rounds/4), "those with no time at all")
	assert.Zero(t, failed.Load(), "healthy requests that were not served")
	for i := range 10 {
		require.NoError(t, post(patient, patience), "request %d to the idle server", i)
	}
	assert.GreaterOrEqual(t, entered.Load(), healthy.Load()+10)
}
