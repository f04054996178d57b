package replay

import (
	"context"
	"errors"
	"fmt"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/local/client"
	"github.com/chat-platform/chat/local/corpus"
)

// Verified is a channel that holds exactly what the corpus says.
type Verified struct {
	Channel  events.ChannelID
	Messages int
	LastSeq  uint64
	Checksum events.Checksum // as the stores compute it: equal before and after a rebuild
}

const (
	pageSize    = 100
	searchEvery = 2000 // one message in so many is looked for by search
	searchPages = 20   // pages of hits looked through for one of them
)

// ErrDiffers is the error of a platform that does not hold the corpus.
var ErrDiffers = errors.New("the platform does not hold the corpus")

func (r *Replay) verify(ctx context.Context) ([]Verified, error) {
	bar := r.bar(len(r.corpus.Messages), "verify", "msg")
	want := map[events.ChannelID][]*events.MessageSent{}
	for i := range r.corpus.Messages {
		m := &r.corpus.Messages[i]
		want[m.ChannelID] = append(want[m.ChannelID], m)
	}
	var all []Verified
	for _, ch := range r.corpus.Channels {
		v, err := r.verifyChannel(ctx, ch, want[ch.ID], func(n int) { _ = bar.Add(n) })
		if err != nil {
			return nil, fmt.Errorf("verify %s: %w", ch.ID, err)
		}
		all = append(all, v)
		for i := 0; i < len(want[ch.ID]); i += searchEvery {
			if err := r.found(ctx, want[ch.ID][i]); err != nil {
				return nil, fmt.Errorf("verify %s: %w", ch.ID, err)
			}
		}
	}
	return all, bar.Finish()
}

// verifyChannel reads the channel from its first message and holds it against
// the corpus. Messages that others have written meanwhile are passed over.
func (r *Replay) verifyChannel(ctx context.Context, ch corpus.Channel, want []*events.MessageSent, progress func(int)) (Verified, error) {
	v := Verified{Channel: ch.ID}
	ours := make(map[events.MessageID]bool, len(want))
	for _, m := range want {
		ours[m.ID] = true
	}
	after := uint64(0)
	for {
		var page client.Page
		err := client.Retry(ctx, giveUp, func(ctx context.Context) (err error) {
			page, err = r.client.HistoryAfter(ctx, ch.ID, after, pageSize)
			return err
		})
		if err != nil {
			return v, fmt.Errorf("history after %d: %w", after, err)
		}
		seen := 0
		for _, got := range page.Messages {
			if got.Seq <= after {
				return v, fmt.Errorf("%w: sequence %d comes after %d", ErrDiffers, got.Seq, after)
			}
			after = got.Seq
			if !ours[got.ID] {
				continue
			}
			if v.Messages >= len(want) {
				return v, fmt.Errorf("%w: %s (sequence %d) is there once more", ErrDiffers, got.ID, got.Seq)
			}
			m := *want[v.Messages]
			if err := differs(got.MessageSent, m); err != nil {
				return v, fmt.Errorf("message %d, sequence %d: %w", v.Messages+1, got.Seq, err)
			}
			if err := v.Checksum.Add(events.Message{Seq: got.Seq, MessageSent: m}); err != nil {
				return v, err
			}
			v.Messages, v.LastSeq = v.Messages+1, got.Seq
			seen++
		}
		progress(seen)
		if !page.MoreAfter {
			break
		}
		if len(page.Messages) == 0 {
			return v, fmt.Errorf("%w: history after %d is empty but says that there is more", ErrDiffers, after)
		}
	}
	if v.Messages != len(want) {
		return v, fmt.Errorf("%w: %d of %d messages are there; %s is missing", ErrDiffers, v.Messages, len(want), want[v.Messages].ID)
	}
	return v, nil
}

func differs(got, want events.MessageSent) error {
	switch {
	case got.ID != want.ID:
		return fmt.Errorf("%w: got %s, expected %s here", ErrDiffers, got.ID, want.ID)
	case got.Text != want.Text:
		return fmt.Errorf("%w: %s has the text %q, expected %q", ErrDiffers, got.ID, got.Text, want.Text)
	case got.AuthorID != want.AuthorID:
		return fmt.Errorf("%w: %s has the author %q, expected %q", ErrDiffers, got.ID, got.AuthorID, want.AuthorID)
	case got.ReplyTo != want.ReplyTo:
		return fmt.Errorf("%w: %s answers %q, expected %q", ErrDiffers, got.ID, got.ReplyTo, want.ReplyTo)
	case !got.SentAt.Equal(want.SentAt):
		return fmt.Errorf("%w: %s was sent at %s, expected %s", ErrDiffers, got.ID, got.SentAt, want.SentAt)
	}
	return nil
}

// found looks for a message by all its words.
func (r *Replay) found(ctx context.Context, m *events.MessageSent) error {
	q := client.WordsOf(m.Text)
	if q == "" {
		return nil
	}
	cursor := ""
	for range searchPages {
		var page client.Found
		err := client.Retry(ctx, giveUp, func(ctx context.Context) (err error) {
			page, err = r.client.Search(ctx, q, m.ChannelID, cursor)
			return err
		})
		if err != nil {
			return fmt.Errorf("search %q: %w", q, err)
		}
		for _, h := range page.Hits {
			if h.Message.ID == m.ID {
				return nil
			}
		}
		if !page.More {
			return fmt.Errorf("%w: search for %q does not find %s", ErrDiffers, q, m.ID)
		}
		cursor = page.Cursor
	}
	return nil // too common a text: more hits than are looked through
}
