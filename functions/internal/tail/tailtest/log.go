// Package tailtest is a log in memory for tests of what completes a view: its
// position can be set to anything, which a real log's cannot.
package tailtest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chat-platform/chat/events"
)

// Log holds events of one stream in order of sequence. The zero value is ready.
type Log struct {
	mu       sync.Mutex
	es       []events.Event
	applied  uint64
	err      error
	requests int
}

// Put appends the payload as an event of the type and subject at the sequence,
// which must be above the last one's; 0 takes the next. It gives the event.
func (l *Log) Put(seq uint64, typ, subject string, payload any) events.Event {
	data, err := json.Marshal(payload)
	if err != nil {
		panic(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	last := uint64(0)
	if n := len(l.es); n > 0 {
		last = l.es[n-1].Sequence
	}
	if seq == 0 {
		seq = last + 1
	}
	if seq <= last {
		panic(fmt.Sprintf("sequence %d after %d", seq, last))
	}
	e := events.Event{ID: fmt.Sprintf("evt_%d", seq), Source: "/test", Type: typ, Subject: subject, Sequence: seq,
		Time: time.UnixMilli(int64(seq)).UTC(), PartitionKey: string(events.ChannelOf(subject)), Data: data}
	l.es = append(l.es, e)
	return e
}

// All are the log's events.
func (l *Log) All() []events.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.es)
}

// Send appends a message with an id that follows from its author and text.
func (l *Log) Send(seq uint64, channel events.ChannelID, author events.UserID, text string) events.Message {
	client, err := events.ClientIDOf(text)
	if err != nil {
		panic(err)
	}
	p := events.MessageSent{ID: events.NewMessageID(author, channel, client), ChannelID: channel, AuthorID: author,
		Text: text, ClientID: client, SentAt: time.UnixMilli(1_700_000_000_000).UTC()}
	e := l.Put(seq, events.TypeMessageSent, events.MessageSubject(channel), p)
	return events.Message{Seq: e.Sequence, MessageSent: p}
}

// Create appends a channel.
func (l *Log) Create(channel events.ChannelID, visibility events.Visibility, by events.UserID) events.Channel {
	p := events.ChannelCreated{ID: channel, Name: "name of " + string(channel), Visibility: visibility, CreatedBy: by, CreatedAt: time.UnixMilli(1_700_000_000_000).UTC()}
	e := l.Put(0, events.TypeChannelCreated, events.ChannelSubject(channel), p)
	return events.Channel{Seq: e.Sequence, ChannelCreated: p}
}

// Join appends a membership.
func (l *Log) Join(channel events.ChannelID, user events.UserID, role events.Role) events.Member {
	p := events.MemberJoined{ChannelID: channel, UserID: user, Role: role, At: time.UnixMilli(1_700_000_000_000).UTC()}
	e := l.Put(0, events.TypeMemberJoined, events.MemberSubject(channel, user), p)
	return events.Member{Seq: e.Sequence, ChannelID: channel, UserID: user, Role: role, Active: true, At: p.At}
}

// Leave appends a membership's end.
func (l *Log) Leave(channel events.ChannelID, user events.UserID) events.Member {
	p := events.MemberLeft{ChannelID: channel, UserID: user, At: time.UnixMilli(1_700_000_000_000).UTC()}
	e := l.Put(0, events.TypeMemberLeft, events.MemberSubject(channel, user), p)
	return events.Member{Seq: e.Sequence, ChannelID: channel, UserID: user, Role: events.RoleMember, At: p.At}
}

// Fail makes all requests fail with err, or none where it is nil.
func (l *Log) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// SetApplied sets the position of all consumers.
func (l *Log) SetApplied(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.applied = seq
}

// Requests is how many requests were made since it was last asked.
func (l *Log) Requests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.requests
	l.requests = 0
	return n
}

func (l *Log) request(ctx context.Context) error {
	l.requests++
	if l.err != nil {
		return l.err
	}
	return ctx.Err()
}

// Position gives what was set, and the last event's sequence.
func (l *Log) Position(ctx context.Context, _, _ string) (applied, last uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.es); n > 0 {
		last = l.es[n-1].Sequence
	}
	return l.applied, last, l.request(ctx)
}

// Tail reads as the real log does.
func (l *Log) Tail(ctx context.Context, subject string, from uint64, limit int) ([]events.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []events.Event
	for _, e := range l.es {
		if e.Sequence >= from && match(subject, e.Subject) && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, l.request(ctx)
}

// LastOf reads as the real log does.
func (l *Log) LastOf(ctx context.Context, subjects []string) (map[string]events.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wanted := map[string]bool{}
	for _, s := range subjects {
		wanted[s] = true
	}
	out := map[string]events.Event{}
	for _, e := range l.es {
		if wanted[e.Subject] {
			out[e.Subject] = e
		}
	}
	return out, l.request(ctx)
}

// Last reads as the real log does.
func (l *Log) Last(ctx context.Context, subject string) (events.Event, error) {
	last, err := l.LastOf(ctx, []string{subject})
	if err != nil {
		return events.Event{}, err
	}
	e, ok := last[subject]
	if !ok {
		return e, events.ErrNotFound
	}
	return e, nil
}

// LastConfirmed reads as the real log does.
func (l *Log) LastConfirmed(ctx context.Context, subject string) (events.Event, error) {
	return l.Last(ctx, subject)
}

func match(filter, subject string) bool {
	f, s := strings.Split(filter, "."), strings.Split(subject, ".")
	if len(f) != len(s) {
		return false
	}
	for i := range f {
		if f[i] != "*" && f[i] != s[i] {
			return false
		}
	}
	return true
}
