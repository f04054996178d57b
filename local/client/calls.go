package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/chat-platform/chat/events"
)

// CreateChannel creates a public channel, or finds it as the same user made it.
func (c *Client) CreateChannel(ctx context.Context, id events.ChannelID, name, topic string) error {
	in := struct {
		ID    events.ChannelID `json:"id"`
		Name  string           `json:"name"`
		Topic string           `json:"topic,omitempty"`
	}{id, name, topic}
	_, err := c.Do(ctx, http.MethodPost, "/v1/channels", in, nil)
	return err
}

// Join makes the client's user a member.
func (c *Client) Join(ctx context.Context, channel events.ChannelID) error {
	_, err := c.Do(ctx, http.MethodPut, "/v1/channels/"+string(channel)+"/members/me", nil, nil)
	return err
}

// AddMembers makes up to 1,000 users members.
func (c *Client) AddMembers(ctx context.Context, channel events.ChannelID, users []events.UserID) error {
	in := struct {
		UserIDs []events.UserID `json:"user_ids"`
	}{users}
	_, err := c.Do(ctx, http.MethodPost, "/v1/channels/"+string(channel)+"/members", in, nil)
	return err
}

// Sent is the platform's receipt of a message.
type Sent struct {
	ID       events.MessageID `json:"id"`
	Seq      uint64           `json:"seq"`
	Existing bool             `json:"existing"` // batches only: it was there before
}

// Send sends one message.
func (c *Client) Send(ctx context.Context, channel events.ChannelID, text string, client events.ClientID) (Sent, error) {
	in := struct {
		Text     string          `json:"text"`
		ClientID events.ClientID `json:"client_id"`
	}{text, client}
	var out Sent
	_, err := c.Do(ctx, http.MethodPost, "/v1/channels/"+string(channel)+"/messages", in, &out)
	return out, err
}

// Outgoing is a message of a batch. AuthorID and SentAt are for importers.
type Outgoing struct {
	ChannelID events.ChannelID `json:"channel_id"`
	Text      string           `json:"text"`
	ClientID  events.ClientID  `json:"client_id"`
	ReplyTo   events.MessageID `json:"reply_to,omitempty"`
	AuthorID  events.UserID    `json:"author_id,omitempty"`
	SentAt    *time.Time       `json:"sent_at,omitempty"`
}

// SendBatch sends up to 1,000 messages; the receipts are in their order.
func (c *Client) SendBatch(ctx context.Context, ms []Outgoing) ([]Sent, error) {
	in := struct {
		Messages []Outgoing `json:"messages"`
	}{ms}
	var out struct {
		Results []Sent `json:"results"`
	}
	_, err := c.Do(ctx, http.MethodPost, "/v1/messages/batch", in, &out)
	return out.Results, err
}

// Page is a page of a channel's history, oldest first.
type Page struct {
	Messages  []events.Message `json:"messages"`
	MoreAfter bool             `json:"has_more_after"`
}

// HistoryAfter gives the oldest messages after a sequence; 0 begins at the
// channel's first.
func (c *Client) HistoryAfter(ctx context.Context, channel events.ChannelID, seq uint64, limit int) (Page, error) {
	q := url.Values{"after": {strconv.FormatUint(seq, 10)}, "limit": {strconv.Itoa(limit)}}
	var out Page
	_, err := c.Do(ctx, http.MethodGet, "/v1/channels/"+string(channel)+"/messages?"+q.Encode(), nil, &out)
	return out, err
}

// Found is a page of search results, newest first.
type Found struct {
	Hits []struct {
		Message events.Message `json:"message"`
		Snippet string         `json:"snippet"`
	} `json:"hits"`
	IndexedThrough uint64 `json:"indexed_through"`
	More           bool   `json:"has_more"`
	Cursor         string `json:"cursor"`
}

// WordsOf is a text's words of letters and digits, at most 200 bytes of them: what
// a search that is to find the text asks for.
func WordsOf(text string) string {
	fields := strings.FieldsFunc(text, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) })
	n, size := 0, 0
	for n < len(fields) && size+len(fields[n]) < 200 {
		size += len(fields[n]) + 1
		n++
	}
	return strings.Join(fields[:n], " ")
}

// Search finds messages by their words; an empty channel means all of the
// user's channels.
func (c *Client) Search(ctx context.Context, text string, channel events.ChannelID, cursor string) (Found, error) {
	q := url.Values{"q": {text}, "limit": {"100"}}
	if channel != "" {
		q.Set("channel", string(channel))
	}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	var out Found
	_, err := c.Do(ctx, http.MethodGet, "/v1/search?"+q.Encode(), nil, &out)
	return out, err
}
