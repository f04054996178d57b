package elasticsearch

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/chat-platform/chat/events"
)

//go:embed template.json
var templateJSON []byte

// version is that of the indices' content: it rises with every change of
// template.json, and whenever package words makes other terms of a text.
const version = 1

// meta is what an index says of itself.
type meta struct {
	Version int `json:"version"`
}

// migrate makes what is missing. Several processes may do so at once, and it
// changes nothing where all is there.
func (s *Store) migrate(ctx context.Context) error {
	if err := s.putTemplate(ctx); err != nil {
		return err
	}
	live, err := s.live(ctx)
	if err != nil || live != "" {
		return err
	}
	err = s.create(ctx, s.name(1), map[string]any{s.config.Index: map[string]any{"is_write_index": true}})
	if exists(err) {
		if live, err = s.live(ctx); err == nil && live == "" {
			err = fmt.Errorf("%w: index %s is there, alias %s is not: give it the alias, or delete it", events.ErrConflict, s.name(1), s.config.Index)
		}
	}
	return err
}

func (s *Store) putTemplate(ctx context.Context) error {
	var t struct {
		Settings map[string]any `json:"settings"`
		Mappings map[string]any `json:"mappings"`
	}
	if err := json.Unmarshal(templateJSON, &t); err != nil {
		return err
	}
	t.Settings["number_of_shards"] = s.config.Shards
	t.Settings["number_of_replicas"] = s.config.Replicas
	t.Settings["refresh_interval"] = fmt.Sprintf("%dms", max(1, s.config.RefreshInterval.Milliseconds()))
	t.Mappings["_meta"] = meta{Version: version}
	return s.call(ctx, http.MethodPut, "/_index_template/"+s.config.Index, map[string]any{
		"index_patterns":    []string{s.config.Index + "-0*"}, // not those of a name that begins with this one
		"priority":          200,
		"allow_auto_create": false, // a write that comes late must not bring an index back
		"template":          t,
	}, nil)
}

func (s *Store) name(number int) string { return fmt.Sprintf("%s-%06d", s.config.Index, number) }

func (s *Store) number(index string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(index, s.config.Index+"-"))
	if err != nil {
		return 0
	}
	return n
}

// create makes an index as the template says; exists tells by the error whether
// there was one already.
func (s *Store) create(ctx context.Context, index string, aliases map[string]any) error {
	body := map[string]any{}
	if aliases != nil {
		body["aliases"] = aliases
	}
	return s.call(ctx, http.MethodPut, "/"+index, body, nil)
}

func exists(err error) bool {
	return refused(err, http.StatusBadRequest, "resource_already_exists_exception")
}

// live is the index that the alias points to, empty if there is no alias.
func (s *Store) live(ctx context.Context) (string, error) {
	var found map[string]any
	err := s.retry(ctx, func() error {
		err := s.once(ctx, http.MethodGet, "/_alias/"+s.config.Index, nil, &found)
		if refused(err, http.StatusNotFound, "") {
			return nil
		}
		return err
	})
	if err != nil {
		return "", err
	}
	if len(found) > 1 {
		return "", fmt.Errorf("%w: alias %s points to %d indices", events.ErrConflict, s.config.Index, len(found))
	}
	for index := range found {
		return index, nil
	}
	return "", nil
}

// metaOf reads what an index says of itself.
func (s *Store) metaOf(ctx context.Context, index string) (meta, error) {
	var found map[string]struct {
		Mappings struct {
			Meta meta `json:"_meta"`
		} `json:"mappings"`
	}
	err := s.call(ctx, http.MethodGet, "/"+index+"/_mapping", nil, &found)
	for _, i := range found {
		return i.Mappings.Meta, err
	}
	return meta{}, err
}

// Outdated tells whether the live index was made by an older version of this
// package, so that a rebuild of the view is due.
func (s *Store) Outdated(ctx context.Context) (bool, error) {
	m, err := s.metaOf(ctx, s.config.Index)
	if err != nil {
		return false, fmt.Errorf("version of search index %s: %w", s.config.Index, err)
	}
	return m.Version < version, nil
}

// Reset drops all content: an empty index takes the place of the live one.
func (s *Store) Reset(ctx context.Context) error {
	if err := s.reset(ctx); err != nil {
		return fmt.Errorf("reset search index %s: %w", s.config.Index, err)
	}
	return nil
}

// Drop removes this generation's indices and their template, and closes the
// store.
func (s *Store) Drop(ctx context.Context) error {
	all, err := s.indices(ctx)
	for index := range all {
		if err == nil {
			err = s.call(ctx, http.MethodDelete, "/"+index+"?ignore_unavailable=true", nil, nil)
		}
	}
	if err == nil {
		if err = s.once(ctx, http.MethodDelete, "/_index_template/"+s.config.Index, nil, nil); refused(err, http.StatusNotFound, "") {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("drop search index %s: %w", s.config.Index, err)
	}
	return s.Close()
}

// indices of this generation, by name; one is live.
func (s *Store) indices(ctx context.Context) (map[string]any, error) {
	var all map[string]any
	err := s.call(ctx, http.MethodGet, "/"+s.config.Index+"-0*/_alias", nil, &all)
	return all, err
}

func (s *Store) reset(ctx context.Context) error {
	all, err := s.indices(ctx)
	if err != nil {
		return err
	}
	last := 0
	var actions []any
	for index := range all {
		last = max(last, s.number(index))
		actions = append(actions, map[string]any{"remove_index": map[string]any{"index": index}})
	}
	empty := s.name(last + 1)
	if err := s.create(ctx, empty, nil); err != nil && !exists(err) {
		return err
	}
	return s.swap(ctx, empty, actions...)
}

// swap points the alias to an index, and does the other actions, at one stroke.
func (s *Store) swap(ctx context.Context, to string, actions ...any) error {
	add := map[string]any{"add": map[string]any{"index": to, "alias": s.config.Index, "is_write_index": true}}
	err := s.call(ctx, http.MethodPost, "/_aliases", map[string]any{"actions": append(actions, add)}, nil)
	if err == nil {
		return nil
	}
	// A repeated request finds its work done.
	if live, e := s.live(ctx); e == nil && live == to {
		return nil
	}
	return err
}
