//go:build integration

package outage_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/local/client"
)

// speak sends line after line at the talker's share of the rate, whatever the
// answers, but one after the other, as clients do that care for the order.
func (s *story) speak(ctx context.Context, c *client.Client, number int) {
	pause := time.Second * talkers / time.Duration(s.cfg.Rate)
	due := time.Now().Add(pause * time.Duration(number) / talkers)
	for n := 0; s.wait(ctx, time.Until(due)); n++ {
		line := s.lines[(number+n*talkers)%len(s.lines)]
		held := s.send(ctx, c, s.channels[(number+n)%channels], line, due)
		if due = due.Add(pause); held && due.Before(time.Now()) {
			due = time.Now() // who was asked to wait does not make up for it
		}
	}
}

// send sends a message until it is accepted, and tells whether it had to be sent
// again.
func (s *story) send(ctx context.Context, c *client.Client, channel events.ChannelID, text string, due time.Time) (again bool) {
	id := events.NewClientID()
	began := time.Now()
	for {
		asked := time.Now()
		m, status, err := s.post(ctx, c, channel, text, id)
		took := time.Since(asked)
		switch {
		case err == nil && (status == http.StatusAccepted || again && status == http.StatusOK):
			s.figures.sent(s.now(), took, time.Since(due), again)
			s.accept(m)
			return again
		case err == nil:
			s.fault("a new message was answered with %d", status)
			return again
		case ctx.Err() != nil:
			return again
		case !s.refusals || !honest(err) || time.Since(began) > s.cfg.Outage+patience:
			s.fault("send: %v", err)
			return again
		}
		again = true
		s.refused.Add(1)
		s.figures.refused(s.now(), took)
		select { // also when the story ends: what was said is to get through
		case <-ctx.Done():
		case <-time.After(retryAfter(err)):
		}
	}
}

// post sends a message once.
func (s *story) post(ctx context.Context, c *client.Client, channel events.ChannelID, text string, id events.ClientID) (events.Message, int, error) {
	ctx, cancel := context.WithTimeout(ctx, tooLong)
	defer cancel()
	in := struct {
		Text     string          `json:"text"`
		ClientID events.ClientID `json:"client_id"`
	}{text, id}
	var receipt struct {
		ID     events.MessageID `json:"id"`
		Seq    uint64           `json:"seq"`
		SentAt time.Time        `json:"sent_at"`
	}
	status, err := c.Do(ctx, http.MethodPost, "/v1/channels/"+string(channel)+"/messages", in, &receipt)
	return events.Message{Seq: receipt.Seq, MessageSent: events.MessageSent{ID: receipt.ID, ChannelID: channel, AuthorID: s.id(c),
		Text: text, ClientID: id, SentAt: receipt.SentAt}}, status, err
}

func (s *story) accept(m events.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted[m.ChannelID] = append(s.accepted[m.ChannelID], m)
	s.newest[m.ChannelID] = max(s.newest[m.ChannelID], m.Seq)
}

// honest is a problem that says what to do: again, and when.
func honest(err error) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Status == http.StatusServiceUnavailable && p.Code != "" && p.RetryAfter > 0
}

func retryAfter(err error) time.Duration {
	var p *client.Problem
	errors.As(err, &p)
	return p.RetryAfter
}

// flood is somebody who sends more than is allowed; it counts what passed and
// what was refused as it should be.
func (s *story) flood(t *testing.T) (passed, refused int) {
	t.Helper()
	c, channel := s.talkers[0].As("hasty"), s.channels[0]
	if err := c.Join(t.Context(), channel); err != nil {
		s.fault("join: %v", err)
		return 0, 0
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range 100 {
		wg.Go(func() {
			m, _, err := s.post(t.Context(), c, channel, fmt.Sprintf("hasty %d", i), events.NewClientID())
			var p *client.Problem
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				passed++
				s.accept(m)
			case errors.As(err, &p) && p.Status == http.StatusTooManyRequests && p.RetryAfter > 0:
				refused++
			default:
				s.fault("flood: %v", err)
			}
		})
	}
	wg.Wait()
	return passed, refused
}

// visit makes a channel now and then, has a guest join it, and says something
// there: three commands that need each other, one right after the other.
func (s *story) visit(ctx context.Context, visitor, guest *client.Client) {
	for n := 0; s.wait(ctx, 3*time.Second); n++ {
		id := events.ChannelID(fmt.Sprintf("ch_visit_%d", n))
		for what, f := range []func(context.Context) error{
			func(ctx context.Context) error { return visitor.CreateChannel(ctx, id, string(id), "") },
			func(ctx context.Context) error { return guest.Join(ctx, id) },
		} {
			if err := s.until(ctx, f); err != nil {
				s.fault("visit, step %d: %v", what, err)
				return
			}
		}
		s.mu.Lock()
		s.made = append(s.made, id)
		s.mu.Unlock()
		s.send(ctx, guest, id, "hello "+string(id), time.Now())
	}
}

// until calls f again while it is refused as a send may be.
func (s *story) until(ctx context.Context, f func(context.Context) error) error {
	for began := time.Now(); ; {
		once, cancel := context.WithTimeout(ctx, tooLong)
		err := f(once)
		cancel()
		if err == nil || !s.refusals || !honest(err) || time.Since(began) > s.cfg.Outage+patience {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryAfter(err)):
		}
	}
}
