package elasticsearch

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/words"
)

const (
	maxTerms = 65_536 // of one terms filter: index.max_terms_count by default
	maxHits  = 1_000  // of one answer
)

type (
	object = map[string]any
	list   = []any
)

// SearchMessages finds messages with all words of q.Text, the last as a prefix,
// in the given channels, newest first. Case, accents and width don't matter,
// and nothing in q.Text is an operator; Chinese, Japanese, Korean and Thai are
// found at any character. A text without a word finds nothing.
//
// Errors match [events.ErrInvalid] for more than 128 words. The index is sorted,
// so that a search ends where its page is full; the channels travel with it.
func (s *Store) SearchMessages(ctx context.Context, q events.SearchQuery) (events.SearchPage, error) {
	page := events.SearchPage{Hits: []events.Hit{}}
	if q.Limit <= 0 {
		return page, events.Invalid("invalid_limit", "limit", "the limit is %d, expected at least 1", q.Limit)
	}
	parsed := words.Parse(q.Text)
	if len(parsed) == 0 || len(q.Channels) == 0 {
		return page, nil
	}
	conditions, err := parsed.Conditions()
	if err != nil {
		return page, err
	}
	filters := append(list{inChannels(q.Channels)}, matching(conditions)...)
	for before := q.Before; len(page.Hits) <= q.Limit; {
		want := min(q.Limit+1-len(page.Hits), maxHits)
		found, err := s.search(ctx, filters, before, want)
		if err != nil {
			return events.SearchPage{Hits: []events.Hit{}}, fmt.Errorf("search index %s: %w", s.config.Index, err)
		}
		for _, m := range found {
			if snippet, ok := parsed.Find(m.Text); ok { // always, unless the index is outdated
				page.Hits = append(page.Hits, events.Hit{Message: m, Snippet: snippet})
			}
		}
		if len(found) < want {
			return page, nil
		}
		before = found[len(found)-1].Seq
	}
	page.Hits, page.More = page.Hits[:q.Limit], true
	return page, nil
}

// search gives up to size messages that pass the filters, newest first.
func (s *Store) search(ctx context.Context, filters list, before uint64, size int) ([]events.Message, error) {
	if before != 0 && before <= math.MaxInt64 {
		filters = append(slices.Clip(filters), object{"range": object{"seq": object{"lt": before}}})
	}
	var answer hits
	err := s.call(ctx, http.MethodPost, "/"+s.config.Index+"/_search?allow_partial_search_results=false", object{
		"size": size, "track_total_hits": false, "sort": list{object{"seq": "desc"}},
		"query": object{"bool": object{"filter": filters}},
	}, &answer)
	ms := make([]events.Message, 0, len(answer.Hits.Hits))
	for _, h := range answer.Hits.Hits {
		ms = append(ms, h.Source)
	}
	return ms, err
}

// inChannels is the access filter, in parts of as many terms as one filter may have.
func inChannels(channels []events.ChannelID) object {
	var parts list
	for part := range slices.Chunk(channels, maxTerms) {
		parts = append(parts, object{"terms": object{"channel_id": part}})
	}
	if len(parts) == 1 {
		return parts[0].(object)
	}
	return object{"bool": object{"should": parts, "minimum_should_match": 1}}
}

func matching(conditions []words.Condition) list {
	var filters list
	for _, c := range conditions {
		kind, text := "term", strings.Join(c.Terms, " ")
		switch {
		case c.Prefix:
			kind = "prefix"
		case len(c.Terms) > 1:
			kind = "match_phrase"
		}
		filters = append(filters, object{kind: object{"terms": text}})
	}
	return filters
}
