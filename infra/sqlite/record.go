package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/chat-platform/chat/events"
)

// recordColumns are the columns of a message, for scanRecord; m is the table
// and c its channel.
const recordColumns = "m.seq, c.id, m.id, m.sent_at, m.author, m.client, m.reply, m.text"

type scanner interface{ Scan(dest ...any) error }

func scanRecord(row scanner) (m events.Message, err error) {
	var seq, sentAt int64
	var id, client, reply any
	err = row.Scan(&seq, &m.ChannelID, &id, &sentAt, &m.AuthorID, &client, &reply, &m.Text)
	m.Seq, m.SentAt = uint64(seq), time.UnixMilli(sentAt).UTC()
	m.ID, m.ClientID, m.ReplyTo = unpackMessageID(id), unpackClientID(client), unpackMessageID(reply)
	return m, err
}

// records writes the table of messages, which the messages view and the search
// view have in common.
type records struct {
	channels channelKeys

	insert, find, remove *statement
}

func (r *records) prepare(w *writer) error {
	w.ended = r.channels.settle
	if err := r.channels.prepare(w); err != nil {
		return err
	}
	return w.prepare(map[string]**statement{
		`INSERT INTO messages (seq, channel, id, sent_at, author, client, reply, text)
		 VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`: &r.insert,
		`SELECT seq, channel, text FROM messages WHERE id = ?`: &r.find,
		`DELETE FROM messages WHERE seq = ?`:                   &r.remove,
	})
}

// stored is a row that gave way to one with a lower sequence.
type stored struct {
	seq, channel int64
	text         string
}

// put writes the batch inside a transaction. changed is called for each message
// that was new (old nil) or replaced one with a higher sequence, in ascending
// order of sequence.
func (r *records) put(ctx context.Context, ms []events.Message, changed func(m *events.Message, channel int64, old *stored) error) error {
	bySeq := func(a, b events.Message) int { return cmp.Compare(a.Seq, b.Seq) }
	if !slices.IsSortedFunc(ms, bySeq) {
		ms = slices.Clone(ms)
		slices.SortFunc(ms, bySeq)
	}
	for i := range ms {
		if i%checkEvery == checkEvery-1 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := r.putOne(&ms[i], changed); err != nil {
			return fmt.Errorf("message %s with sequence %d: %w", ms[i].ID, ms[i].Seq, err)
		}
	}
	return nil
}

func (r *records) putOne(m *events.Message, changed func(*events.Message, int64, *stored) error) error {
	if m.Seq == 0 || m.Seq >= math.MaxInt64 || m.ID == "" || m.ChannelID == "" {
		return events.Invalid("invalid_record", "", "a message needs an id, a channel and a sequence from 1 to 2^63-2")
	}
	channel, err := r.channels.of(m.ChannelID)
	if err != nil {
		return err
	}
	id := packMessageID(m.ID)
	insert := func() (int64, error) {
		return r.insert.exec(int64(m.Seq), channel, id, m.SentAt.UnixMilli(),
			string(m.AuthorID), packClientID(m.ClientID), packMessageID(m.ReplyTo), m.Text)
	}
	var old *stored
	n, err := insert()
	if err == nil && n == 0 {
		if old, err = r.makeWay(id, int64(m.Seq)); err != nil || old == nil {
			return err
		}
		_, err = insert()
	}
	if err != nil || changed == nil {
		return err
	}
	return changed(m, channel, old)
}

// makeWay removes the row of the id if its sequence is above seq.
func (r *records) makeWay(id driver.Value, seq int64) (*stored, error) {
	row := make([]driver.Value, 3)
	if err := r.find.get(row, id); err != nil {
		return nil, err
	}
	var old stored
	old.seq, _ = row[0].(int64)
	old.channel, _ = row[1].(int64)
	old.text, _ = row[2].(string)
	if old.seq <= seq {
		return nil, nil
	}
	_, err := r.remove.exec(old.seq)
	return &old, err
}

// channelKeys turns channel ids into numbers, inside write transactions.
type channelKeys struct {
	known   map[events.ChannelID]int64 // committed
	pending map[events.ChannelID]int64 // of this transaction

	add, find *statement
}

// maxKnownChannels bounds the memory of channelKeys: some 6 MiB.
const maxKnownChannels = 1 << 16

func (k *channelKeys) prepare(w *writer) error {
	k.known, k.pending = map[events.ChannelID]int64{}, map[events.ChannelID]int64{}
	return w.prepare(map[string]**statement{
		"INSERT INTO channels (id) VALUES (?) ON CONFLICT DO NOTHING": &k.add,
		"SELECT key FROM channels WHERE id = ?":                       &k.find,
	})
}

func (k *channelKeys) of(id events.ChannelID) (int64, error) {
	if key, ok := k.known[id]; ok {
		return key, nil
	}
	if key, ok := k.pending[id]; ok {
		return key, nil
	}
	row := make([]driver.Value, 1)
	err := k.find.get(row, string(id))
	if errors.Is(err, errNoRow) {
		if _, err = k.add.exec(string(id)); err == nil {
			err = k.find.get(row, string(id))
		}
	}
	if err != nil {
		return 0, err
	}
	key, _ := row[0].(int64)
	k.pending[id] = key
	return key, nil
}

// settle remembers what a committed transaction has found, and forgets what
// one that was undone has.
func (k *channelKeys) settle(committed bool) {
	if committed && len(k.pending) > 0 {
		if len(k.known)+len(k.pending) > maxKnownChannels {
			clear(k.known)
		}
		for id, key := range k.pending {
			k.known[id] = key
		}
	}
	clear(k.pending)
}
