package membership

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/chat-platform/chat/events"
)

const (
	keep    = time.Second      // how long a positive answer counts, from before it was asked for
	timeout = 10 * time.Second // of a question that several callers share
	bulk    = 1_000            // subjects asked for at once

	maxRefused = 100 // refusals that are worth finding in one request
)

// Members answers questions about memberships. It is safe for concurrent use;
// one should be shared by all functions of a process.
type Members struct {
	log     Log
	flights singleflight.Group
	cache   cache
}

// New gives a Members that reads log.
func New(log Log) *Members { return &Members{log: log} }

// Pair is one user in one channel.
type Pair struct {
	Channel events.ChannelID
	User    events.UserID
}

func (p Pair) key() string { return string(p.Channel) + "\x00" + string(p.User) }

// Member gives an active membership. Its errors are [events.ErrNotMember],
// [events.ErrChannelNotFound] and the log's ([events.ErrUnavailable]). Costs
// nothing when cached, else one read of the log, two for a refusal.
func (m *Members) Member(ctx context.Context, channel events.ChannelID, user events.UserID) (events.Member, error) {
	p := Pair{channel, user}
	if member, ok := m.cache.get(p, time.Now()); ok {
		return member, nil
	}
	answer := m.flights.DoChan(p.key(), func() (any, error) {
		// The caller that began may give up while others wait.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		return m.ask(ctx, p)
	})
	select {
	case <-ctx.Done():
		return events.Member{}, fmt.Errorf("membership of %s in %s: %w", user, channel, ctx.Err())
	case r := <-answer:
		member, _ := r.Val.(events.Member)
		return member, r.Err
	}
}

func (m *Members) ask(ctx context.Context, p Pair) (events.Member, error) {
	until, mark := time.Now().Add(keep), m.cache.mark()
	e, err := m.log.Last(ctx, events.MemberSubject(p.Channel, p.User))
	switch {
	case errors.Is(err, events.ErrNotFound):
		return events.Member{}, m.refusal(ctx, p.Channel)
	case err != nil:
		return events.Member{}, fmt.Errorf("membership of %s in %s: %w", p.User, p.Channel, err)
	}
	is, err := standing(p.Channel, p.User, e, true)
	if err != nil {
		return events.Member{}, err
	}
	if !is.Active {
		return m.confirm(ctx, p)
	}
	m.cache.put(p, is.Member, until, mark)
	return is.Member, nil
}

// confirm asks the leader, before somebody is refused.
func (m *Members) confirm(ctx context.Context, p Pair) (events.Member, error) {
	until, mark := time.Now().Add(keep), m.cache.mark()
	is, err := Confirm(ctx, m.log, p.Channel, p.User)
	if err != nil {
		return events.Member{}, err
	}
	if !is.Active {
		return events.Member{}, m.refusal(ctx, p.Channel)
	}
	m.cache.put(p, is.Member, until, mark)
	return is.Member, nil
}

// refusal tells an unknown channel from one that the user is not in.
func (m *Members) refusal(ctx context.Context, channel events.ChannelID) error {
	_, err := m.log.Last(ctx, events.ChannelSubject(channel))
	switch {
	case err == nil:
		return events.ErrNotMember
	case errors.Is(err, events.ErrNotFound):
		return events.ErrChannelNotFound
	}
	return fmt.Errorf("channel %s: %w", channel, err)
}

// Refused gives those pairs that are not active memberships, each with
// [events.ErrNotMember] or [events.ErrChannelNotFound]; an empty map lets all
// pass. After 100 refusals it looks no further. The error is the log's. What is
// not cached costs one read of the log per 1,000 different pairs, and each
// refusal two more.
func (m *Members) Refused(ctx context.Context, pairs []Pair) (map[Pair]*events.Fault, error) {
	now := time.Now()
	unknown := make([]Pair, 0, min(len(pairs), bulk))
	seen := make(map[Pair]bool, min(len(pairs), bulk))
	for _, p := range pairs {
		if seen[p] {
			continue
		}
		seen[p] = true
		if _, ok := m.cache.get(p, now); !ok {
			unknown = append(unknown, p)
		}
	}
	refused := map[Pair]*events.Fault{}
	for ; len(unknown) > 0; unknown = unknown[min(bulk, len(unknown)):] {
		if err := m.askAll(ctx, unknown[:min(bulk, len(unknown))], refused); err != nil {
			return nil, err
		}
	}
	return refused, nil
}

func (m *Members) askAll(ctx context.Context, pairs []Pair, refused map[Pair]*events.Fault) error {
	until, mark := time.Now().Add(keep), m.cache.mark()
	subjects := make([]string, len(pairs))
	for i, p := range pairs {
		subjects[i] = events.MemberSubject(p.Channel, p.User)
	}
	last, err := m.log.LastOf(ctx, subjects)
	if err != nil {
		return fmt.Errorf("memberships of %d users: %w", len(pairs), err)
	}
	for i, p := range pairs {
		e, ok := last[subjects[i]]
		is, err := standing(p.Channel, p.User, e, ok)
		if err != nil {
			return err
		}
		if is.Active {
			m.cache.put(p, is.Member, until, mark)
			continue
		}
		if len(refused) == maxRefused {
			return nil
		}
		var fault *events.Fault
		if _, err := m.confirm(ctx, p); errors.As(err, &fault) && !errors.Is(err, events.ErrUnavailable) {
			refused[p] = fault
		} else if err != nil {
			return err
		}
	}
	return nil
}

// Forget drops what is known about a membership that has just ended. Answers
// that are on their way and may be older than the end are not kept either.
func (m *Members) Forget(channel events.ChannelID, user events.UserID) {
	p := Pair{channel, user}
	m.cache.forget(p)
	m.flights.Forget(p.key())
}

// Kept is how many answers are kept, stale ones included.
func (m *Members) Kept() int { return m.cache.size() }
