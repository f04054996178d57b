package sqlite

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/chat-platform/chat/events"
)

//go:embed metadata.sql
var metadataDDL string

var metadataSchema = schema{kind: "metadata", id: 0x63686364, version: 1, ddl: metadataDDL, tables: []string{"channels", "members"}, cacheKiB: 4_000}

// Metadata keeps channels and memberships. The highest sequence wins.
type Metadata struct {
	*database
	putChannel, putMember *statement

	channel, public, allChannels      *sql.Stmt
	channelsOf, membersOf, allMembers *sql.Stmt
}

// OpenMetadata opens the file at path, or creates it.
func OpenMetadata(ctx context.Context, path string, opts ...Option) (*Metadata, error) {
	d, err := open(ctx, path, metadataSchema, opts)
	if err != nil {
		return nil, err
	}
	s := &Metadata{database: d}
	if err := s.prepare(ctx); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("open %s store %s: %w", d.kind, path, err)
	}
	return s, nil
}

const (
	channelColumns = "c.id, c.seq, c.name, c.topic, c.visibility, c.created_by, c.created_at"
	memberColumns  = "m.user, m.channel, m.seq, m.role, m.active, m.at"
)

func (s *Metadata) prepare(ctx context.Context) error {
	if err := s.database.prepare(ctx, map[string]**sql.Stmt{
		"SELECT " + channelColumns + " FROM channels c WHERE id = ?": &s.channel,
		"SELECT " + channelColumns + ` FROM channels c WHERE c.visibility = 'public' AND c.id > ?
		 ORDER BY c.id LIMIT ?`: &s.public,
		"SELECT " + channelColumns + " FROM channels c": &s.allChannels,
		"SELECT " + memberColumns + `, coalesce(c.id, ''), coalesce(c.seq, 0), coalesce(c.name, ''), coalesce(c.topic, ''),
		 coalesce(c.visibility, ''), coalesce(c.created_by, ''), c.created_at
		 FROM members m LEFT JOIN channels c ON c.id = m.channel
		 WHERE m.user = ? AND m.channel > ? AND m.active ORDER BY m.channel LIMIT ?`: &s.channelsOf,
		"SELECT " + memberColumns + ` FROM members m WHERE m.channel = ? AND m.user > ? AND m.active
		 ORDER BY m.user LIMIT ?`: &s.membersOf,
		"SELECT " + memberColumns + " FROM members m": &s.allMembers,
	}); err != nil {
		return err
	}
	return s.write.do(ctx, func() error {
		return s.write.prepare(map[string]**statement{
			`INSERT INTO channels (id, seq, name, topic, visibility, created_by, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)
			 ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, name = excluded.name, topic = excluded.topic,
			 visibility = excluded.visibility, created_by = excluded.created_by, created_at = excluded.created_at
			 WHERE excluded.seq > channels.seq`: &s.putChannel,
			`INSERT INTO members (user, channel, seq, role, active, at) VALUES (?, ?, ?, ?, ?, ?)
			 ON CONFLICT (user, channel) DO UPDATE SET seq = excluded.seq, role = excluded.role,
			 active = excluded.active, at = excluded.at WHERE excluded.seq > members.seq`: &s.putMember,
		})
	})
}

// PutChannels writes the batch, all or nothing. Errors match
// [events.ErrInvalid] for a channel without id or sequence.
func (s *Metadata) PutChannels(ctx context.Context, cs []events.Channel) error {
	return putAll(ctx, s.database, "write channels", cs, func(c *events.Channel) error {
		if err := validateKey(c.Seq, string(c.ID)); err != nil {
			return err
		}
		_, err := s.putChannel.exec(string(c.ID), int64(c.Seq), c.Name, c.Topic, string(c.Visibility), string(c.CreatedBy), c.CreatedAt.UnixMilli())
		return err
	})
}

// PutMembers writes the batch, all or nothing. Errors match
// [events.ErrInvalid] for a membership without channel, user or sequence.
func (s *Metadata) PutMembers(ctx context.Context, ms []events.Member) error {
	return putAll(ctx, s.database, "write members", ms, func(m *events.Member) error {
		if err := validateKey(m.Seq, string(m.ChannelID), string(m.UserID)); err != nil {
			return err
		}
		active := int64(0)
		if m.Active {
			active = 1
		}
		_, err := s.putMember.exec(string(m.UserID), string(m.ChannelID), int64(m.Seq), string(m.Role), active, m.At.UnixMilli())
		return err
	})
}

func putAll[T any](ctx context.Context, d *database, op string, records []T, put func(*T) error) error {
	if len(records) == 0 {
		return nil
	}
	return d.transact(ctx, op, func() error {
		for i := range records {
			if i%checkEvery == checkEvery-1 && ctx.Err() != nil {
				return ctx.Err()
			}
			if err := put(&records[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func validateKey(seq uint64, ids ...string) error {
	bad := seq == 0 || seq >= math.MaxInt64
	for _, id := range ids {
		bad = bad || id == ""
	}
	if bad {
		return events.Invalid("invalid_record", "", "the record %q needs its ids and a sequence from 1 to 2^63-2", ids)
	}
	return nil
}

// ChannelByID gives events.ErrChannelNotFound where there is none.
func (s *Metadata) ChannelByID(ctx context.Context, id events.ChannelID) (events.Channel, error) {
	c, err := scanChannel(s.channel.QueryRowContext(ctx, string(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return events.Channel{}, fmt.Errorf("channel %s: %w", id, events.ErrChannelNotFound)
	}
	if err != nil {
		return events.Channel{}, s.fail("read channel "+string(id), err)
	}
	return c, nil
}

// PublicChannels lists by id, those after the given one.
func (s *Metadata) PublicChannels(ctx context.Context, after events.ChannelID, limit int) ([]events.Channel, error) {
	if err := validateLimit(limit); err != nil {
		return nil, err
	}
	cs, err := collect(ctx, s.public, scanChannel, string(after), limit)
	return cs, s.fail("list public channels", err)
}

// ChannelsOf lists a user's active memberships by channel id. A channel whose
// own event has not come yet has but its id.
func (s *Metadata) ChannelsOf(ctx context.Context, user events.UserID, after events.ChannelID, limit int) ([]events.Membership, error) {
	if err := validateLimit(limit); err != nil {
		return nil, err
	}
	ms, err := collect(ctx, s.channelsOf, scanMembership, string(user), string(after), limit)
	return ms, s.fail("list channels of "+string(user), err)
}

// MembersOf lists a channel's active members by user id.
func (s *Metadata) MembersOf(ctx context.Context, channel events.ChannelID, after events.UserID, limit int) ([]events.Member, error) {
	if err := validateLimit(limit); err != nil {
		return nil, err
	}
	ms, err := collect(ctx, s.membersOf, scanMember, string(channel), string(after), limit)
	return ms, s.fail("list members of "+string(channel), err)
}

// Checksums sums the channels and memberships, ended ones too, with a sequence
// of at most through, by channel. It reads everything.
func (s *Metadata) Checksums(ctx context.Context, through uint64) (map[events.ChannelID]events.Checksum, error) {
	sums := newChecksums(through)
	err := each(ctx, s.allChannels, scanChannel, func(c events.Channel) error { return sums.add(c.ID, c.Seq, c) })
	if err == nil {
		err = each(ctx, s.allMembers, scanMember, func(m events.Member) error { return sums.add(m.ChannelID, m.Seq, m) })
	}
	if err != nil {
		return nil, s.fail("checksum metadata", err)
	}
	return sums.all, nil
}

// Reset drops all channels and memberships.
func (s *Metadata) Reset(ctx context.Context) error {
	return s.reset(ctx, "")
}

func scanChannel(row scanner) (c events.Channel, err error) {
	var seq, at int64
	err = row.Scan(&c.ID, &seq, &c.Name, &c.Topic, &c.Visibility, &c.CreatedBy, &at)
	c.Seq, c.CreatedAt = uint64(seq), time.UnixMilli(at).UTC()
	return c, err
}

func scanMember(row scanner) (m events.Member, err error) {
	var seq, at int64
	err = row.Scan(&m.UserID, &m.ChannelID, &seq, &m.Role, &m.Active, &at)
	m.Seq, m.At = uint64(seq), time.UnixMilli(at).UTC()
	return m, err
}

func scanMembership(row scanner) (events.Membership, error) {
	var m events.Member
	var c events.Channel
	var memberSeq, channelSeq, at int64
	var createdAt sql.NullInt64
	err := row.Scan(&m.UserID, &m.ChannelID, &memberSeq, &m.Role, &m.Active, &at,
		&c.ID, &channelSeq, &c.Name, &c.Topic, &c.Visibility, &c.CreatedBy, &createdAt)
	m.Seq, m.At = uint64(memberSeq), time.UnixMilli(at).UTC()
	c.Seq, c.ID = uint64(channelSeq), m.ChannelID
	if createdAt.Valid {
		c.CreatedAt = time.UnixMilli(createdAt.Int64).UTC()
	}
	return events.Membership{Channel: c, Member: m}, err
}
