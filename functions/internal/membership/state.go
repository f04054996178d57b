package membership

import (
	"context"
	"errors"
	"fmt"

	"github.com/chat-platform/chat/events"
)

// Log is what this package needs of the log.
type Log interface {
	// Last gives a subject's last event, as any replica knows it. That there is
	// none (events.ErrNotFound) is the leader's word.
	Last(ctx context.Context, subject string) (events.Event, error)
	Reader
}

// Reader is the part of [Log] that [Read] and [Confirm] need.
type Reader interface {
	// LastOf gives the last events of those subjects that have one, as any
	// replica knows them.
	LastOf(ctx context.Context, subjects []string) (map[string]events.Event, error)
	// LastConfirmed gives a subject's last event as the leader knows it.
	LastConfirmed(ctx context.Context, subject string) (events.Event, error)
}

// Standing is what the log says about one user in one channel.
type Standing struct {
	events.Member        // Seq 0: never was a member
	EventID       string // of the event that made it so
}

// Channel is what the log says about a channel.
type Channel struct {
	events.Channel
	EventID string // of the event that made it so
}

// Read reads a channel and the standing of users in it from the log, uncached,
// with one request. A channel that does not exist is [events.ErrChannelNotFound],
// by the leader's word. Standings may be behind by the time replication takes:
// a publish that expects their Seq tells, and before a refusal [Confirm].
func Read(ctx context.Context, log Reader, channel events.ChannelID, users ...events.UserID) (Channel, map[events.UserID]Standing, error) {
	subjects := make([]string, 0, len(users)+1)
	subjects = append(subjects, events.ChannelSubject(channel))
	for _, u := range users {
		subjects = append(subjects, events.MemberSubject(channel, u))
	}
	last, err := log.LastOf(ctx, subjects)
	if err != nil {
		return Channel{}, nil, fmt.Errorf("read channel %s and its members: %w", channel, err)
	}
	created, ok := last[subjects[0]]
	if !ok {
		switch created, err = log.LastConfirmed(ctx, subjects[0]); {
		case errors.Is(err, events.ErrNotFound):
			return Channel{}, nil, events.ErrChannelNotFound
		case err != nil:
			return Channel{}, nil, fmt.Errorf("read channel %s: %w", channel, err)
		}
	}
	c, err := events.ChannelFrom(created)
	if err != nil {
		return Channel{}, nil, corrupt(created, err)
	}
	standings := make(map[events.UserID]Standing, len(users))
	for i, u := range users {
		e, ok := last[subjects[i+1]]
		if standings[u], err = standing(channel, u, e, ok); err != nil {
			return Channel{}, nil, err
		}
	}
	return Channel{c, created.ID}, standings, nil
}

// Confirm reads one user's standing from the log's leader.
func Confirm(ctx context.Context, log Reader, channel events.ChannelID, user events.UserID) (Standing, error) {
	e, err := log.LastConfirmed(ctx, events.MemberSubject(channel, user))
	if err != nil && !errors.Is(err, events.ErrNotFound) {
		return Standing{}, fmt.Errorf("membership of %s in %s: %w", user, channel, err)
	}
	return standing(channel, user, e, err == nil)
}

func standing(channel events.ChannelID, user events.UserID, e events.Event, ok bool) (Standing, error) {
	if !ok {
		return Standing{Member: events.Member{ChannelID: channel, UserID: user}}, nil
	}
	m, err := events.MemberOf(e)
	if err != nil {
		return Standing{}, corrupt(e, err)
	}
	return Standing{Member: m, EventID: e.ID}, nil
}

// RoleIn is the role with which a user enters a channel: its creator is an
// owner, also when coming back, so that no channel is left without one for good.
func RoleIn(c Channel, u events.UserID) events.Role {
	if c.CreatedBy == u {
		return events.RoleOwner
	}
	return events.RoleMember
}

// corrupt reports an event of the log that does not decode. It is our fault and
// not the caller's, so the kind (invalid) is cut off.
func corrupt(e events.Event, err error) error {
	return fmt.Errorf("event %s at %s %d: %s", e.ID, e.Subject, e.Sequence, err.Error())
}
