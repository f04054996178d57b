package source

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/chat-platform/chat/infra/nats"
)

// job is a request to be made; what became of each event is in outcomes. Events
// of one lane stand together.
type job struct {
	items    []*item
	outcomes []outcome
	alone    bool
	stopped  map[*lane]bool // failed in this job: what is behind must wait
}

type outcome struct {
	done    bool          // acknowledged, or dead and stored
	failed  bool          // to be tried later; neither: it was not its turn
	refused bool          // failed by itself, so that it goes alone from now on
	away    bool          // failed because nobody was there
	after   time.Duration // not sooner
}

// decision is what a status means.
type decision int

const (
	accept decision = iota
	bury            // refused for good
	retry           // refused for now
	outage          // nobody there
)

// decide maps the status of an answer, 0 if there was none.
func decide(status int) decision {
	switch status {
	case 0, http.StatusServiceUnavailable:
		return outage
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return bury
	}
	if status/100 == 2 {
		return accept
	}
	return retry
}

// deliver sees a job through.
func (s *Source) deliver(ctx context.Context, j *job) {
	j.outcomes = make([]outcome, len(j.items))
	j.stopped = map[*lane]bool{}
	s.part(ctx, j, 0, len(j.items))
}

// part delivers the events from lo to before hi.
func (s *Source) part(ctx context.Context, j *job, lo, hi int) {
	var at []int
	var batch []*item
	for i := lo; i < hi; i++ {
		if !j.stopped[j.items[i].lane] {
			at, batch = append(at, i), append(batch, j.items[i])
		}
	}
	if len(batch) == 0 {
		return
	}
	if len(batch) == 1 && batch[0].d.Err != nil {
		s.dead(ctx, j, at[0], answer{reason: "not a CloudEvent: " + batch[0].d.Err.Error()})
		return
	}
	a := s.sink.post(ctx, batch)
	s.metrics.request.Observe(a.took.Seconds())
	switch verdict := decide(a.status); {
	case verdict == accept:
		for n, it := range batch {
			if err := it.d.Ack(); err != nil {
				s.logger.Debug("source: acknowledgement not sent, the event will come again", "sequence", it.d.Sequence, "error", err)
			}
			j.outcomes[at[n]].done = true
		}
		s.metrics.delivered.Add(float64(len(batch)))
	case verdict == outage || len(batch) > 1 && a.status == http.StatusTooManyRequests:
		// Nothing is learned about the events by asking in smaller pieces.
		s.warn("source: sink is not available, will try again", "events", len(batch), "status", a.status, "reason", a.reason)
		for _, i := range at {
			s.later(j, i, outcome{after: a.after, away: verdict == outage})
		}
	case len(batch) > 1:
		mid := at[len(at)/2]
		s.part(ctx, j, lo, mid)
		s.part(ctx, j, mid, hi)
	case verdict == bury:
		batch[0].attempts++
		s.dead(ctx, j, at[0], a)
	default:
		it := batch[0]
		if it.attempts++; it.attempts >= s.cfg.MaxAttempts {
			s.dead(ctx, j, at[0], a)
			return
		}
		s.warn("source: event was refused, will try again", "event", it.d.Event.ID, "sequence", it.d.Sequence,
			"attempt", it.attempts, "status", a.status, "reason", a.reason)
		s.later(j, at[0], outcome{after: a.after, refused: true})
	}
}

// later has the event tried again, for the reason that o gives.
func (s *Source) later(j *job, i int, o outcome) {
	l := j.items[i].lane
	if j.stopped[l] {
		return
	}
	j.stopped[l] = true
	o.failed = true
	j.outcomes[i] = o
	s.metrics.retried.Inc()
}

// dead stores the dead letter, and only then lets go of the event.
func (s *Source) dead(ctx context.Context, j *job, i int, a answer) {
	it := j.items[i]
	reason := a.reason
	if reason == "" {
		reason = fmt.Sprintf("status %d", a.status)
	}
	err := s.log.PublishDead(ctx, it.d, nats.DeadReason{Reason: reason, Status: a.status, Attempts: it.attempts})
	if err != nil {
		s.logger.Error("source: dead letter could not be stored, event will be tried again", "event", it.d.Event.ID, "sequence", it.d.Sequence, "error", err)
		s.later(j, i, outcome{refused: true})
		return
	}
	s.metrics.dead.Inc()
	s.logger.Error("source: event is in the dead letters", "event", it.d.Event.ID, "stream", it.d.Stream, "sequence", it.d.Sequence,
		"status", a.status, "attempts", it.attempts, "reason", reason)
	if err := it.d.Terminate(reason); err != nil {
		s.logger.Debug("source: termination not sent, the event will come again", "sequence", it.d.Sequence, "error", err)
	}
	j.outcomes[i].done = true
}
