//go:build integration

package outage_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/local/client"
)

// kind is something that people read.
type kind string

const (
	latest kind = "history, latest"
	first  kind = "history, first"
	search kind = "search"
	list   kind = "channels"
	ready  kind = "readiness"
	alive  kind = "liveness"
)

var kinds = []kind{latest, first, search, list, ready, alive}

// read asks for one thing after the other, a few a second. An answer is 200, and
// then true, or an honest refusal (also without an outage: a busy machine may keep
// a view behind).
func (s *story) read(ctx context.Context, c *client.Client, number int) {
	for n := number; s.wait(ctx, 250*time.Millisecond); n++ {
		k, channel := kinds[n%len(kinds)], s.channels[(n/len(kinds))%channels]
		s.mu.Lock()
		newest := s.newest[channel]
		s.mu.Unlock()
		at, began := s.now(), time.Now()
		status, err := s.ask(ctx, c, k, channel, newest)
		if ctx.Err() != nil {
			return
		}
		s.figures.read(at, k, status, time.Since(began))
		if err != nil && !honest(err) && (k != ready || status != http.StatusServiceUnavailable) {
			s.fault("%s: %v", k, err)
		}
	}
}

func (s *story) ask(ctx context.Context, c *client.Client, k kind, channel events.ChannelID, newest uint64) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, tooLong)
	defer cancel()
	switch k {
	case latest:
		var page client.Page
		status, err = c.Do(ctx, http.MethodGet, "/v1/channels/"+string(channel)+"/messages?limit=50", nil, &page)
		if n := len(page.Messages); err == nil && newest > 0 && (n == 0 || page.Messages[n-1].Seq < newest) {
			err = fmt.Errorf("%d messages, the last of them not that of %d, which was accepted before", n, newest)
		}
	case first:
		var page client.Page
		status, err = c.Do(ctx, http.MethodGet, "/v1/channels/"+string(channel)+"/messages?after=0&limit=100", nil, &page)
		if err == nil && len(page.Messages) == 0 && newest > 0 {
			err = errors.New("no message")
		}
	case search:
		where := "&channel=" + string(channel)
		if newest%2 == 0 {
			where = ""
		}
		status, err = c.Do(ctx, http.MethodGet, "/v1/search?q=the"+where, nil, nil)
	case list:
		status, err = c.Do(ctx, http.MethodGet, "/v1/channels", nil, nil)
	case ready, alive:
		return s.health(ctx, "/health/"+string(k))
	}
	return status, err
}

func (s *story) health(ctx context.Context, path string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.platform.URL+path, nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return res.StatusCode, fmt.Errorf("status %d", res.StatusCode)
	}
	return res.StatusCode, nil
}

// listener is a socket of somebody who is in one channel.
type listener struct {
	channel events.ChannelID
	client  *client.Client
	cancel  context.CancelFunc
	done    chan struct{}

	mu       sync.Mutex
	heard    []events.Message // but for the author's client id
	prevs    []uint64
	cursor   string
	sessions int
}

// listen joins the channel and keeps a socket open.
func (s *story) listen(t interface {
	Context() context.Context
	Fatalf(string, ...any)
}, c *client.Client, channel events.ChannelID) {
	if err := c.Join(t.Context(), channel); err != nil {
		t.Fatalf("join: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l := &listener{channel: channel, client: c, cancel: cancel, done: make(chan struct{}), sessions: 1}
	socket, hello, err := c.Connect(ctx, "")
	if err != nil || hello.Op != "ready" {
		t.Fatalf("connect: %q %v", hello.Op, err)
	}
	l.cursor = hello.Cursor
	s.listeners = append(s.listeners, l)
	go func() {
		defer close(l.done)
		s.hear(ctx, l, socket)
	}()
}

func (l *listener) close() {
	l.cancel()
	<-l.done
}

func (l *listener) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.heard)
}

// hear reads the socket until ctx ends. Where connections may end it resumes.
func (s *story) hear(ctx context.Context, l *listener, socket *client.Socket) {
	for {
		f, err := socket.Next(ctx)
		if err == nil {
			s.take(l, f)
			continue
		}
		socket.Drop()
		if ctx.Err() != nil {
			return
		}
		if !s.refusals {
			s.fault("the socket of %s ended: %v", l.client.User(), err)
			return
		}
		if socket = s.resume(ctx, l); socket == nil {
			return
		}
	}
}

func (s *story) resume(ctx context.Context, l *listener) *client.Socket {
	for {
		once, cancel := context.WithTimeout(ctx, patience)
		socket, resumed, err := l.client.Resume(once, l.cursor, func(f client.Frame) { s.take(l, f) })
		cancel()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				socket.Drop()
			}
			return nil
		case err == nil && resumed.Op == "resumed" && len(resumed.Limited) == 0 && !resumed.LimitAll:
			l.mu.Lock()
			l.sessions++
			l.mu.Unlock()
			return socket
		case err == nil:
			socket.Drop()
			s.fault("%s could not resume: %s %s %v", l.client.User(), resumed.Op, resumed.Reason, resumed.Limited)
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (s *story) take(l *listener, f client.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.Cursor != "" {
		l.cursor = f.Cursor
	}
	if f.Op != "event" || f.Type != events.TypeMessageSent {
		return
	}
	m := events.Message{Seq: f.Seq}
	if err := json.Unmarshal(f.Data, &m.MessageSent); err != nil {
		s.fault("%s heard %s: %v", l.client.User(), f.Data, err)
	}
	l.heard, l.prevs = append(l.heard, m), append(l.prevs, f.Prev)
}
