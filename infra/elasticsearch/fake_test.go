package elasticsearch_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// server answers as Elasticsearch does, to the few requests of this package, so
// that its refusals can be had at will. It knows nothing of words: a search finds
// everything. What is found is for the real server to judge.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	indices  map[string]*index
	aliases  map[string]string // the index that each points to
	requests []string
	// refuse answers a request instead (status 0: doesn't), item an item.
	refuse func(r *http.Request, body []byte) (status int, answer string)
	item   func(id string) (status int, kind string)
}

type index struct {
	docs   map[string]doc
	meta   any
	origin string // the document that says whose it is
}

type doc struct {
	version int64
	seq     uint64
	source  json.RawMessage
}

func newServer(t *testing.T) *server {
	s := &server{indices: map[string]*index{}, aliases: map[string]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func failure(kind string) string {
	return fmt.Sprintf(`{"error":{"type":%q,"reason":"so it is"},"status":1}`, kind)
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.Header().Set("Content-Type", "application/json")
	status, answer := 0, ""
	if s.refuse != nil {
		status, answer = s.refuse(r, body)
	}
	if status == 0 {
		status, answer = s.answer(r, body)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

// MarshalJSON lists no aliases: nobody asks for them.
func (i *index) MarshalJSON() ([]byte, error) { return []byte(`{"aliases":{}}`), nil }

func (s *server) answer(r *http.Request, body []byte) (int, string) {
	name, action, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	var request map[string]any
	_ = json.Unmarshal(body, &request)
	switch {
	case name == "_index_template", name == "_pit" && r.Method == http.MethodDelete:
		return 200, `{}`
	case name == "_alias" && s.aliases[action] == "":
		return 404, `{"error":"alias missing","status":404}`
	case name == "_alias":
		return 200, fmt.Sprintf(`{%q:{"aliases":{%q:{}}}}`, s.aliases[action], action)
	case name == "_aliases":
		return 200, s.actions(request["actions"].([]any))
	case name == "_search": // by point in time, whose id is the index's name
		return s.search(request["pit"].(map[string]any)["id"].(string), request)
	case action == "_alias":
		found := map[string]*index{}
		for n, i := range s.indices {
			if strings.HasPrefix(n, strings.TrimSuffix(name, "*")) {
				found[n] = i
			}
		}
		b, _ := json.Marshal(found)
		return 200, string(b)
	case action == "" && r.Method == http.MethodPut && s.indices[name] != nil:
		return 400, failure("resource_already_exists_exception")
	case action == "" && r.Method == http.MethodPut:
		s.indices[name] = &index{docs: map[string]doc{}, meta: map[string]int{"version": 1}}
		if aliases, ok := request["aliases"].(map[string]any); ok {
			for a := range aliases {
				s.aliases[a] = name
			}
		}
		return 200, `{}`
	}
	if to, ok := s.aliases[name]; ok {
		name = to
	}
	i := s.indices[name]
	if i == nil {
		return 404, failure("index_not_found_exception")
	}
	switch action {
	case "":
		delete(s.indices, name)
	case "_bulk":
		return 200, s.bulk(i, body)
	case "_search":
		return s.search(name, request)
	case "_pit":
		return 200, fmt.Sprintf(`{"id":%q}`, name)
	case "_mapping":
		b, _ := json.Marshal(map[string]any{name: map[string]any{"mappings": map[string]any{"_meta": i.meta}}})
		return 200, string(b)
	case "_refresh":
	case "_doc/_origin":
		if i.origin == "" {
			return 404, `{"found":false}`
		}
		return 200, fmt.Sprintf(`{"found":true,"_source":%s}`, i.origin)
	case "_create/_origin":
		if i.origin != "" {
			return 409, failure("version_conflict_engine_exception")
		}
		i.origin = string(body)
		return 201, `{}`
	default:
		return 400, failure("no_such_request")
	}
	return 200, `{}`
}

func (s *server) actions(actions []any) string {
	for _, a := range actions {
		for kind, args := range a.(map[string]any) {
			index := args.(map[string]any)["index"].(string)
			if kind == "add" {
				s.aliases[args.(map[string]any)["alias"].(string)] = index
			} else {
				delete(s.indices, index)
			}
		}
	}
	return `{}`
}

func (s *server) bulk(i *index, body []byte) string {
	lines := bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))
	var items []string
	failed := false
	for pair := range slices.Chunk(lines, 2) {
		var action struct {
			Index struct {
				ID      string `json:"_id"`
				Version int64  `json:"version"`
			} `json:"index"`
		}
		_ = json.Unmarshal(pair[0], &action)
		var d struct{ Seq uint64 }
		status, kind, id := 201, "", action.Index.ID
		if s.item != nil {
			if st, k := s.item(id); st != 0 {
				status, kind = st, k
			}
		}
		switch {
		case json.Unmarshal(pair[1], &d) != nil:
			status, kind = 400, "document_parsing_exception"
		case status == 201 && i.docs[id].version > action.Index.Version:
			status, kind = 409, "version_conflict_engine_exception"
		case status == 201:
			i.docs[id] = doc{action.Index.Version, d.Seq, pair[1]}
		}
		failed = failed || status != 201
		items = append(items, fmt.Sprintf(`{"index":{"status":%d,"error":{"type":%q}}}`, status, kind))
	}
	return fmt.Sprintf(`{"errors":%t,"items":[%s]}`, failed, strings.Join(items, ","))
}

// search finds all documents, newest first, below a bound of seq or after one
// of them, up to another one.
func (s *server) search(name string, request map[string]any) (int, string) {
	i := s.indices[name]
	if i == nil {
		return 404, failure("search_context_missing_exception")
	}
	query, _ := json.Marshal(request["query"])
	var bound struct {
		Range map[string]struct{ Lte float64 }
		Bool  struct {
			Filter []struct {
				Range map[string]struct{ Lt float64 }
			}
		}
	}
	_ = json.Unmarshal(query, &bound)
	through, before := float64(1<<63), float64(1<<63)
	if r, ok := bound.Range["seq"]; ok {
		through = r.Lte
	}
	for _, f := range bound.Bool.Filter {
		if r, ok := f.Range["seq"]; ok {
			before = r.Lt
		}
	}
	if after, ok := request["search_after"].([]any); ok {
		before = after[0].(float64)
	}
	docs := slices.SortedFunc(maps.Values(i.docs), func(a, b doc) int { return int(int64(b.seq) - int64(a.seq)) })
	var hits []string
	for _, d := range docs {
		if float64(d.seq) <= through && float64(d.seq) < before && len(hits) < int(request["size"].(float64)) {
			hits = append(hits, fmt.Sprintf(`{"_source":%s,"sort":[%d]}`, d.source, d.seq))
		}
	}
	return 200, fmt.Sprintf(`{"pit_id":%q,"hits":{"hits":[%s]}}`, name, strings.Join(hits, ","))
}
