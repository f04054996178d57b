package deadletters

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions"
	natslog "github.com/chat-platform/chat/infra/nats"
)

// Path is where [Handler] is mounted.
const Path = "/admin/dead"

// page is the answer to a list.
type page struct {
	Letters []Letter `json:"letters"`
}

// Handler serves letters as JSON; errors are problems. It asks nobody who they
// are: whoever mounts it does.
//
//	GET    /admin/dead?consumer=&after=&limit=   a page
//	GET    /admin/dead/{seq}                     one, with its content
//	POST   /admin/dead/{seq}/redrive             the Outcome, also where the sink refuses it again
//	DELETE /admin/dead/{seq}                     discard
func Handler(letters Letters, logger *slog.Logger) http.Handler {
	mux := functions.NewMux()
	handle := func(pattern string, f func(ctx context.Context, r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			answer, err := f(r.Context(), r)
			if err != nil {
				id := rand.Text()
				logger.Warn("dead letters: request failed", "method", r.Method, "path", r.URL.Path, "request_id", id, "error", err)
				functions.WriteProblem(w, id, err)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "no-store")
			if err := json.NewEncoder(w).Encode(answer); err != nil {
				logger.Debug("dead letters: the asker is gone", "error", err)
			}
		})
	}
	handle("GET "+Path, func(ctx context.Context, r *http.Request) (any, error) {
		q := r.URL.Query()
		after, err := number(q.Get("after"), "after", 0, 1<<63)
		if err != nil {
			return nil, err
		}
		limit, err := number(q.Get("limit"), "limit", pageSize, natslog.DeadLettersMost)
		if err != nil {
			return nil, err
		}
		all, err := letters.List(ctx, q.Get("consumer"), after, int(limit))
		return page{all}, err
	})
	handle("GET "+Path+"/{seq}", func(ctx context.Context, r *http.Request) (any, error) {
		seq, err := number(r.PathValue("seq"), "seq", 0, 1<<63)
		if err != nil {
			return nil, err
		}
		return letters.Show(ctx, seq)
	})
	handle("POST "+Path+"/{seq}/redrive", func(ctx context.Context, r *http.Request) (any, error) {
		seq, err := number(r.PathValue("seq"), "seq", 0, 1<<63)
		if err != nil {
			return nil, err
		}
		return letters.Redrive(ctx, seq)
	})
	handle("DELETE "+Path+"/{seq}", func(ctx context.Context, r *http.Request) (any, error) {
		seq, err := number(r.PathValue("seq"), "seq", 0, 1<<63)
		if err != nil {
			return nil, err
		}
		return struct{}{}, letters.Discard(ctx, seq)
	})
	return mux
}

func number(s, field string, missing, most uint64) (uint64, error) {
	if s == "" {
		return missing, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > most {
		return 0, events.Invalid("invalid_"+field, field, "%s is %q, expected a number of at most %d", field, s, most)
	}
	return n, nil
}
