// Package searchmessages finds messages by their words, newest first, in the
// channels that the caller is a member of at that moment and in no other.
//
// Which channels those are is completed from the log (see package joined), or,
// for one given channel, asked of the log alone: a removed member finds nothing
// from then on, however far a view lags. The index itself is not completed:
// indexed_through in the answer is the sequence up to which it held everything
// before the search began, so that a client can tell "not found" from "not yet
// indexed".
package searchmessages

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/joined"
	"github.com/chat-platform/chat/functions/internal/page"
	"github.com/chat-platform/chat/functions/internal/seen"
	"github.com/chat-platform/chat/functions/internal/tail"
)

// Spec is how the function is reached.
var Spec = frontdoor.Spec{
	Name:    "searchmessages",
	Summary: "Finds messages by their words in the caller's channels.",
	Method:  http.MethodGet,
	Path:    "/v1/search",
	Type:    "chat.query.searchmessages.v1",
}

// MaxQueryRunes bounds what is searched for, in characters.
const MaxQueryRunes = 256

// Request asks for messages with all the words of Query, the last as a prefix.
type Request struct {
	Query     string `json:"q" query:"q"`
	ChannelID string `json:"channel_id" query:"channel"` // empty: all of the caller's channels
	Limit     int    `json:"limit" query:"limit"`
	Cursor    string `json:"cursor" query:"cursor"`
}

// Answer is a page of hits, newest first.
type Answer struct {
	Hits           []Hit  `json:"hits"`
	IndexedThrough uint64 `json:"indexed_through"` // every message up to this sequence was searched
	HasMore        bool   `json:"has_more"`
	Cursor         string `json:"cursor,omitempty"` // of the next page, where there is more
}

// Hit is a message and the part of it that matches, in plain text.
type Hit struct {
	Message seen.Message `json:"message"`
	Snippet string       `json:"snippet"`
}

// Members tells who is in a channel: an active membership, or
// [events.ErrNotMember] or [events.ErrChannelNotFound].
type Members interface {
	Member(ctx context.Context, channel events.ChannelID, user events.UserID) (events.Member, error)
}

// Index finds messages.
type Index interface {
	SearchMessages(ctx context.Context, q events.SearchQuery) (events.SearchPage, error)
	Ping(ctx context.Context) error
}

// Handler answers searches.
type Handler struct {
	members  Members
	channels *joined.Channels
	index    Index
	position tail.View // of the index
}

// New makes a handler on the index, the metadata view that lists a user's
// channels, the log that completes it, and the members of channels.
func New(log tail.Log, members Members, metadata joined.View, index Index) *Handler {
	return &Handler{members, joined.New(log, metadata), index, tail.Of(log, events.StreamMessages, events.ConsumerSearch)}
}

// Handle answers one page of hits.
func (h *Handler) Handle(ctx context.Context, caller events.Caller, req Request) (Answer, error) {
	q, channel, err := req.parse()
	if err != nil {
		return Answer{}, err
	}
	at, err := h.position.Position(ctx) // before the search
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Hits: []Hit{}, IndexedThrough: at.Applied}
	channels := []events.ChannelID{channel}
	if channel != "" {
		_, err = h.members.Member(ctx, channel, caller.User)
	} else {
		channels, err = h.channels.Of(ctx, caller.User)
	}
	if err != nil {
		return Answer{}, err
	}
	found, err := h.search(ctx, q, channels)
	if err != nil {
		return Answer{}, fmt.Errorf("search in %d channels: %w", len(channels), err)
	}
	for _, hit := range found.Hits {
		a.Hits = append(a.Hits, Hit{seen.By(caller.User, hit.Message), hit.Snippet})
	}
	if a.HasMore = found.More; a.HasMore {
		last := found.Hits[len(found.Hits)-1].Message.Seq
		a.Cursor = page.Cursor(page.Hits, strconv.FormatUint(last, 10))
	}
	return a, nil
}

// Ready tells whether the index answers.
func (h *Handler) Ready(ctx context.Context) (bool, error) {
	err := h.index.Ping(ctx)
	return err == nil, err
}

func (r Request) parse() (q events.SearchQuery, channel events.ChannelID, err error) {
	q.Text = strings.TrimSpace(r.Query)
	if n := utf8.RuneCountInString(q.Text); n < 1 || n > MaxQueryRunes || !utf8.ValidString(q.Text) {
		return q, "", events.Invalid("invalid_query", "q", "q has %d characters of text, 1 to %d are allowed", n, MaxQueryRunes)
	}
	if r.ChannelID != "" {
		if channel, err = events.ParseChannelID(r.ChannelID); err != nil {
			return q, "", err
		}
	}
	if q.Limit, err = page.Limit(r.Limit); err != nil {
		return q, "", err
	}
	place, err := page.Place(page.Hits, r.Cursor)
	if err != nil || place == "" {
		return q, channel, err
	}
	if q.Before, err = strconv.ParseUint(place, 10, 64); err != nil || q.Before == 0 {
		return q, "", page.ErrCursor
	}
	return q, channel, nil
}
