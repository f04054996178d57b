package elasticsearch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/words"
)

// IndexMessages writes the batch. Where it fails, a part of it may have been
// written; writing it again is safe. Messages without an id or a sequence, which
// can't be stored, fail the batch before anything is written.
func (s *Store) IndexMessages(ctx context.Context, ms []events.Message) error {
	if len(ms) == 0 {
		return nil
	}
	path := "/" + s.config.Index + "/_bulk?require_alias=true"
	if s.config.WaitVisible {
		path += "&refresh=wait_for"
	}
	err := s.index(ctx, path, ms)
	if refused(err, http.StatusNotFound, "index_not_found_exception") { // somebody has deleted it; what it held comes back by a rebuild
		if e := s.migrate(ctx); e != nil {
			err = fmt.Errorf("%w; it cannot be made anew: %w", err, e)
		}
	}
	if err != nil {
		return fmt.Errorf("index %d messages from %s: %w", len(ms), ms[0].ID, err)
	}
	return nil
}

// index sends the messages in requests of at most BulkBytes.
func (s *Store) index(ctx context.Context, path string, ms []events.Message) error {
	for i := range ms {
		if ms[i].ID == "" || ms[i].Seq == 0 || ms[i].Seq > math.MaxInt64 {
			return events.Invalid("not_storable", "id", "message %q with sequence %d can't be stored", ms[i].ID, ms[i].Seq)
		}
	}
	b := bulk{path: path + "&filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason"}
	for i := range ms {
		size := len(b.body)
		if err := b.add(&ms[i]); err != nil {
			return err
		}
		if len(b.body) <= s.config.BulkBytes || size == 0 {
			continue
		}
		last := append([]byte{}, b.body[size:]...)
		b.body, b.ends = b.body[:size], b.ends[:len(b.ends)-1]
		if err := s.send(ctx, b); err != nil {
			return err
		}
		b.body = append(b.body[:0], last...)
		b.ends = append(b.ends[:0], len(last))
	}
	return s.send(ctx, b)
}

// bulk is a request with many items; ends are where each of them ends in body.
type bulk struct {
	path string
	body []byte
	ends []int
}

// add appends a message: the action, and the document with its terms.
func (b *bulk) add(m *events.Message) error {
	doc, err := json.Marshal(m)
	if err != nil {
		return events.Invalid("not_storable", "id", "message %s can't be stored: %v", m.ID, err)
	}
	id, err := json.Marshal(m.ID)
	if err != nil {
		return err
	}
	b.body = append(append(b.body, `{"index":{"_id":`...), id...)
	b.body = append(b.body, `,"version_type":"external_gte","version":`...)
	b.body = strconv.AppendInt(b.body, math.MaxInt64-int64(m.Seq), 10)
	b.body = append(append(b.body, "}}\n"...), doc[:len(doc)-1]...)
	b.body = append(b.body, `,"terms":"`...)
	b.body = words.AppendTerms(b.body, m.Text) // nothing in it needs an escape
	b.body = append(b.body, "\"}\n"...)
	b.ends = append(b.ends, len(b.body))
	return nil
}

func (b *bulk) item(i int) []byte {
	if i == 0 {
		return b.body[:b.ends[0]]
	}
	return b.body[b.ends[i-1]:b.ends[i]]
}

// only is a request with some of the items.
func (b *bulk) only(items []int) bulk {
	o := bulk{path: b.path}
	for _, i := range items {
		o.body = append(o.body, b.item(i)...)
		o.ends = append(o.ends, len(o.body))
	}
	return o
}

// send sends a request until all items are stored. A stale one, which the server
// refuses by its version, is as good as stored.
func (s *Store) send(ctx context.Context, b bulk) error {
	err := s.retry(ctx, func() error {
		var answer struct {
			Errors bool `json:"errors"`
			Items  []map[string]struct {
				Status int   `json:"status"`
				Error  fault `json:"error"`
			} `json:"items"`
		}
		if err := s.once(ctx, http.MethodPost, b.path, b.body, &answer); err != nil || !answer.Errors {
			return err
		}
		if len(answer.Items) != len(b.ends) {
			return fmt.Errorf("%w: %d items answered of %d", events.ErrUnavailable, len(answer.Items), len(b.ends))
		}
		var again []int
		var passing error
		for i, item := range answer.Items {
			for _, a := range item {
				if a.Status < 300 || a.Status == http.StatusConflict {
					continue
				}
				r := &refusal{a.Status, a.Error.Type, a.Error.Reason}
				if !errors.Is(r, events.ErrUnavailable) {
					return r
				}
				again, passing = append(again, i), r
			}
		}
		b = b.only(again)
		return passing
	})
	if n := len(b.ends); n > 1 && refused(err, http.StatusRequestEntityTooLarge, "") { // the server, or a proxy before it, takes less
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		if err = s.send(ctx, b.only(all[:n/2])); err == nil {
			err = s.send(ctx, b.only(all[n/2:]))
		}
	}
	return err
}
