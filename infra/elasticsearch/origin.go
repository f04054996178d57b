package elasticsearch

import (
	"context"
	"fmt"
	"net/http"
)

// originID is that of a document beside the messages, which says of which log the
// index is. It has none of their fields, so no search finds it.
const originID = "_origin"

// Claim tells of which log the index is, by its epoch. One that is of none yet is
// of the given one from then on, unless that is empty; a document that is only
// made where there is none decides among several.
func (s *Store) Claim(ctx context.Context, epoch string) (string, error) {
	of, err := s.origin(ctx)
	if err == nil && of == "" && epoch != "" {
		err = s.call(ctx, http.MethodPut, "/"+s.config.Index+"/_create/"+originID, object{"epoch": epoch}, nil)
		if err == nil || refused(err, http.StatusConflict, "") {
			of, err = s.origin(ctx)
		}
	}
	if err != nil {
		return "", fmt.Errorf("claim search index %s: %w", s.config.Index, err)
	}
	return of, nil
}

func (s *Store) origin(ctx context.Context) (string, error) {
	var found struct {
		Found  bool `json:"found"`
		Source struct {
			Epoch string `json:"epoch"`
		} `json:"_source"`
	}
	err := s.retry(ctx, func() error {
		err := s.once(ctx, http.MethodGet, "/"+s.config.Index+"/_doc/"+originID, nil, &found)
		if refused(err, http.StatusNotFound, "error") { // the document, not the index
			return nil
		}
		return err
	})
	return found.Source.Epoch, err
}

// Empty tells whether the index holds no message; it makes visible what was
// written before.
func (s *Store) Empty(ctx context.Context) (bool, error) {
	var found hits
	err := s.refresh(ctx)
	if err == nil {
		err = s.call(ctx, http.MethodPost, "/"+s.config.Index+"/_search?allow_partial_search_results=false",
			object{"size": 1, "track_total_hits": false, "_source": false, "query": messages}, &found)
	}
	if err != nil {
		return false, fmt.Errorf("look at search index %s: %w", s.config.Index, err)
	}
	return len(found.Hits.Hits) == 0, nil
}

// messages is the query that finds all of them.
var messages = object{"exists": object{"field": "seq"}}
