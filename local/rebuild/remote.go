package rebuild

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions"
	"github.com/chat-platform/chat/local/datadir"
	"github.com/chat-platform/chat/local/views"
)

// Path is where a [Service] is mounted.
const Path = "/admin/rebuild"

// line is one of an answer: a report, or the error at the end.
type line struct {
	Report
	Error *problem `json:"error,omitempty"`
	Done  bool     `json:"done,omitempty"` // the last one of a rebuild that succeeded
}

type problem struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Service rebuilds for whoever asks by HTTP, and knows when that has ended:
//
//	POST /admin/rebuild?view=messages|metadata|search|all
//
// The answer is a JSON object a line, as things happen. Who hangs up interrupts
// the rebuild; the same request goes on with it.
type Service struct {
	make    func(report func(Report)) *Rebuilder
	log     *slog.Logger
	ctx     context.Context //nolint:containedctx // of the service, not of a call
	stop    context.CancelFunc
	running sync.WaitGroup
}

// NewService serves rebuilds until Close. make makes what does them.
func NewService(ctx context.Context, log *slog.Logger, make func(report func(Report)) *Rebuilder) *Service {
	s := &Service{make: make, log: log}
	s.ctx, s.stop = context.WithCancel(ctx)
	return s
}

// Close interrupts what is under way and waits for its end.
func (s *Service) Close() {
	s.stop()
	s.running.Wait()
}

// ServeHTTP is of http.Handler. It asks nobody who they are: whoever mounts it
// does.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	vs, err := views.Named(r.URL.Query().Get("view"))
	if err == nil && r.Method != http.MethodPost {
		err = events.Invalid("invalid_method", "", "a rebuild is asked for by POST")
	}
	if err == nil && s.ctx.Err() != nil {
		err = events.NewFault(events.ErrUnavailable, "draining", "", "the platform ends")
	}
	if err != nil {
		functions.WriteProblem(w, rand.Text(), err)
		return
	}
	s.running.Add(1)
	defer s.running.Done()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	say := func(l line) {
		b, _ := json.Marshal(l) // strings and numbers only
		_, _ = w.Write(append(b, '\n'))
		_ = out.Flush() // or the asker is gone
	}
	var last time.Time
	phase := ""
	results, err := s.make(func(report Report) {
		if p := report.Progress; p != nil && p.Phase == phase && p.Done < p.Total && time.Since(last) < 100*time.Millisecond {
			return // people see no more than that
		} else if p != nil {
			phase, last = p.Phase, time.Now()
		}
		say(line{Report: report})
	}).Run(ctx, vs)
	if err != nil {
		s.log.Warn("rebuild ended", "view", r.URL.Query().Get("view"), "error", err)
		p := problem{Code: "rebuild_failed", Detail: err.Error()}
		if f := (*events.Fault)(nil); errors.As(err, &f) {
			p.Code = f.Code
		}
		if s.ctx.Err() != nil {
			p = problem{"interrupted", "the platform has ended; the same command goes on with the rebuild"}
		}
		say(line{Error: &p})
		return
	}
	for i := range results {
		s.log.Info("rebuilt", "view", results[i].View, "generation", results[i].Generation, "events", results[i].Events, "refused", results[i].Refused, "seconds", results[i].Took.Seconds())
	}
	say(line{Done: true})
}

// ErrNoPlatform says that no platform runs on a data folder.
var ErrNoPlatform = errors.New("no platform runs on the data folder")

// Remote asks the platform that runs on a data folder to rebuild, and gives what
// it reports. [ErrNoPlatform] if none does.
func Remote(ctx context.Context, dataDir, view string, report func(Report)) error {
	path := filepath.Join(dataDir, datadir.Internal)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return ErrNoPlatform
	}
	if err != nil {
		return fmt.Errorf("find the platform on %s: %w", dataDir, err)
	}
	u, err := url.Parse(strings.TrimSpace(string(b)))
	if err != nil || u.Host == "" {
		return events.Invalid("invalid_url", "", "%s holds no URL", path)
	}
	u.Path, u.RawQuery = Path, url.Values{"view": {view}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return ErrNoPlatform // it was killed, and left its file
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return events.NewFault(events.ErrUnavailable, "no_platform", "", "the platform does not answer: %v", errors.Unwrap(err))
	}
	defer res.Body.Close()
	lines := json.NewDecoder(res.Body)
	if res.StatusCode != http.StatusOK {
		var p problem
		if err := lines.Decode(&p); err != nil || p.Detail == "" {
			return fmt.Errorf("the platform answers %d", res.StatusCode)
		}
		return events.NewFault(events.ErrInvalid, p.Code, "", "%s", p.Detail)
	}
	for {
		var l line
		err := lines.Decode(&l)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return events.NewFault(events.ErrUnavailable, "interrupted", "", "the platform has ended; the same command goes on with the rebuild")
		case err != nil:
			return fmt.Errorf("rebuild: answer of the platform: %w", err)
		case l.Error != nil:
			return events.NewFault(events.ErrConflict, l.Error.Code, "", "%s", l.Error.Detail)
		case l.Done:
			return nil
		}
		report(l.Report)
	}
}
