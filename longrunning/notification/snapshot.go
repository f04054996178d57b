package notification

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/chat-platform/chat/events"
)

// snapshot is a user's channels as an instance found them: what the log's events
// up to last give, and nothing else. It lies with the log under the user's name,
// so that no session folds a hundred thousand events that another one has folded.
// Whoever reads one makes sure that the log has its last event still.
type snapshot struct {
	last     eventID
	channels []events.ChannelID // ascending
}

// has tells whether the user was in the channel.
func (s *snapshot) has(c events.ChannelID) bool {
	_, found := slices.BinarySearch(s.channels, c)
	return found
}

const snapshotVersion = 1

var errSnapshot = errors.New("malformed snapshot")

// append writes the snapshot to b.
func (s *snapshot) append(b []byte) []byte {
	text := func(t string) { b = append(binary.AppendUvarint(b, uint64(len(t))), t...) }
	b = binary.AppendUvarint(append(b, snapshotVersion), s.last.seq)
	text(s.last.id)
	b = binary.AppendUvarint(b, uint64(len(s.channels)))
	for _, c := range s.channels {
		text(string(c))
	}
	return b
}

// parseSnapshot reads what append wrote. The channels are parts of one string.
func parseSnapshot(b []byte) (s snapshot, err error) {
	rest := string(b)
	number := func() uint64 {
		v, n := binary.Uvarint([]byte(rest[:min(len(rest), binary.MaxVarintLen64)]))
		if n <= 0 {
			err, rest = errSnapshot, ""
			return 0
		}
		rest = rest[n:]
		return v
	}
	text := func() string {
		n := number()
		if n > uint64(len(rest)) {
			err, rest = errSnapshot, ""
			return ""
		}
		t := rest[:n]
		rest = rest[n:]
		return t
	}
	if number() != snapshotVersion {
		return snapshot{}, errSnapshot
	}
	s.last.seq = number()
	s.last.id = text()
	n := number()
	if n > uint64(len(rest)) {
		return snapshot{}, errSnapshot
	}
	s.channels = make([]events.ChannelID, n)
	for i := range s.channels {
		s.channels[i] = events.ChannelID(text())
		if i > 0 && s.channels[i] <= s.channels[i-1] {
			return snapshot{}, errSnapshot // has would not find them
		}
	}
	if err != nil || rest != "" || s.last.seq == 0 {
		return snapshot{}, errSnapshot
	}
	return s, nil
}

// snapshotName is under which a user's memberships lie.
func snapshotName(user events.UserID) string { return "memberships of " + string(user) }

// recall gives what is kept of the user's memberships. A snapshot without a last
// event is none: reading the log is always right.
func (s *Service) recall(ctx context.Context, user events.UserID) (snap snapshot) {
	b, err := s.log.ReadSnapshot(ctx, snapshotName(user))
	if err == nil && b != nil {
		snap, err = parseSnapshot(b)
	}
	if err != nil {
		s.logger.Warn("memberships kept are not to be had", "user", user, "error", err)
	}
	return snap
}

// keeping is a snapshot on its way to the log.
type keeping struct {
	user  events.UserID
	found *memberships // nobody changes them any more
}

// keep has what a session found out about its user written, if that took long.
// Where the last ones are still being written it is left to the next session.
func (s *Service) keep(user events.UserID, found *memberships) {
	if found.fresh <= s.cfg.SnapshotAfter {
		return
	}
	select {
	case s.keepings <- keeping{user, found}:
	default:
	}
}

// remember writes snapshots.
func (s *Service) remember(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case k := <-s.keepings:
			snap := snapshot{last: k.found.last, channels: slices.Sorted(k.found.active())}
			if err := s.write(ctx, k.user, snap); err != nil {
				s.logger.Warn("memberships not kept", "user", k.user, "error", err)
			}
		}
	}
}

func (s *Service) write(ctx context.Context, user events.UserID, snap snapshot) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := s.log.WriteSnapshot(ctx, snapshotName(user), snap.append(nil)); err != nil {
		return fmt.Errorf("snapshot of %d channels: %w", len(snap.channels), err)
	}
	return nil
}
