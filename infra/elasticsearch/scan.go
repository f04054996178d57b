package elasticsearch

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/chat-platform/chat/events"
)

const (
	scanSize = 500 // documents of one answer, of 300 KB at most
	scanKeep = "2m"
)

// hits is an answer to a search.
type hits struct {
	PIT  string `json:"pit_id"`
	Hits struct {
		Hits []struct {
			Source events.Message  `json:"_source"`
			Sort   json.RawMessage `json:"sort"`
		} `json:"hits"`
	} `json:"hits"`
}

// scan calls f with all documents that are visible now and have a sequence of at
// most through. What is written meanwhile does not show.
func (s *Store) scan(ctx context.Context, through uint64, f func([]events.Message) error) error {
	var pit struct {
		ID string `json:"id"`
	}
	if err := s.call(ctx, http.MethodPost, "/"+s.config.Index+"/_pit?keep_alive="+scanKeep, nil, &pit); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = s.once(ctx, http.MethodDelete, "/_pit", object{"id": pit.ID}, nil) // else it expires
	}()
	query := messages
	if through <= math.MaxInt64 {
		query = object{"range": object{"seq": object{"lte": through}}}
	}
	request := object{
		"size": scanSize, "track_total_hits": false, "query": query,
		"sort": list{object{"_shard_doc": "asc"}},
	}
	for {
		request["pit"] = object{"id": pit.ID, "keep_alive": scanKeep}
		var page hits
		if err := s.call(ctx, http.MethodPost, "/_search?allow_partial_search_results=false", request, &page); err != nil {
			return err
		}
		if page.PIT != "" {
			pit.ID = page.PIT
		}
		n := len(page.Hits.Hits)
		if n > 0 {
			ms := make([]events.Message, n)
			for i, h := range page.Hits.Hits {
				ms[i] = h.Source
			}
			if err := f(ms); err != nil {
				return err
			}
			request["search_after"] = page.Hits.Hits[n-1].Sort
		}
		if n < scanSize {
			return nil
		}
	}
}

// Checksums sums the messages with a sequence of at most through, by channel, at
// one point in time; it makes visible what was written before.
func (s *Store) Checksums(ctx context.Context, through uint64) (map[events.ChannelID]events.Checksum, error) {
	sums := map[events.ChannelID]events.Checksum{}
	err := s.refresh(ctx)
	if err == nil {
		err = s.scan(ctx, through, func(ms []events.Message) error {
			for _, m := range ms {
				sum := sums[m.ChannelID]
				if err := sum.Add(m); err != nil {
					return err
				}
				sums[m.ChannelID] = sum
			}
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("checksum search index %s: %w", s.config.Index, err)
	}
	return sums, nil
}
