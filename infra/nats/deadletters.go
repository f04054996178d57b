package nats

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/chat-platform/chat/events"
)

// DeadLetter is an event that a consumer's sink refused, and why.
type DeadLetter struct {
	Sequence uint64 // its own, in the dead letters
	Consumer string // who refused it
	Reason   string // a sentence for people
	Status   int    // of the sink's last answer, 0 if there was none
	Attempts int
	Time     time.Time // when it was given up

	Stream           string // where the event lies in the log; "" if the letter does not say
	Subject          string
	OriginalSequence uint64

	TraceParent string              // of the event, also where it is no CloudEvent otherwise
	Event       events.Event        // as it was delivered: its Sequence is OriginalSequence
	Err         error               // why it is not a CloudEvent, of kind events.ErrInvalid; Event is empty then
	Header      map[string][]string // as it came
	Data        []byte
}

// Bounds of one call of DeadLetters.
const (
	DeadLettersMost = 1000
	deadLetterBytes = 8 << 20
)

// DeadLetters gives up to limit (DeadLettersMost) dead letters of a consumer,
// or of all where it is "", with a sequence above after, oldest first. Fewer than
// limit come back also where they are long; there are no more once none do. The
// stream's leader answers, one request a letter.
func (l *Log) DeadLetters(ctx context.Context, consumer string, after uint64, limit int) ([]DeadLetter, error) {
	filter := events.DeadLettersSubjects[0]
	if consumer != "" {
		if strings.ContainsAny(consumer, ".*> \t\r\n") {
			return nil, events.Invalid("invalid_consumer", "consumer", "%q is no name of a consumer", consumer)
		}
		filter = events.DeadLetterSubject(consumer)
	}
	var letters []DeadLetter
	size := 0
	for next := after + 1; next > after && len(letters) < min(limit, DeadLettersMost) && size < deadLetterBytes; {
		s, ok, err := l.leader(ctx, events.StreamDeadLetters, getRequest{Seq: next, NextFor: filter})
		if err != nil {
			return nil, fmt.Errorf("dead letters after %d: %w", next-1, err)
		}
		if !ok {
			break
		}
		letters = append(letters, deadLetter(s))
		size += len(s.data)
		next = s.seq + 1
	}
	return letters, nil
}

// DeadLetter is the dead letter at a sequence; events.ErrNotFound where there is
// none (any more), by the leader's word.
func (l *Log) DeadLetter(ctx context.Context, seq uint64) (DeadLetter, error) {
	s, ok, err := stored{}, false, error(nil)
	if seq > 0 {
		s, ok, err = l.leader(ctx, events.StreamDeadLetters, getRequest{Seq: seq})
	}
	if err == nil && !ok {
		err = errNoLetter(seq)
	}
	if err != nil {
		return DeadLetter{}, fmt.Errorf("dead letter %d: %w", seq, err)
	}
	return deadLetter(s), nil
}

func errNoLetter(seq uint64) error {
	return events.NewFault(events.ErrNotFound, "dead_letter_not_found", "seq", "there is no dead letter %d", seq)
}

// Discard deletes a dead letter and overwrites its bytes; events.ErrNotFound
// where there is none (any more). The event itself stays in the log.
func (l *Log) Discard(ctx context.Context, seq uint64) error {
	if err := l.discard(ctx, seq); err != nil {
		return fmt.Errorf("discard dead letter %d: %w", seq, err)
	}
	return nil
}

func (l *Log) discard(ctx context.Context, seq uint64) error {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	if _, err := l.DeadLetter(ctx, seq); err != nil {
		return err
	}
	m, err := l.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.DELETE."+events.StreamDeadLetters, fmt.Appendf(nil, `{"seq":%d}`, seq))
	if err != nil {
		return translate(err)
	}
	var a struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if a.Error == nil {
		return nil
	}
	if _, err := l.DeadLetter(ctx, seq); err != nil { // somebody else was faster
		return err
	}
	return translate(a.Error)
}

// deadLetter reads what PublishDead wrote. Headers that do not read as they
// should leave their field empty: the letter is shown all the same.
func deadLetter(s stored) DeadLetter {
	h := s.header
	d := DeadLetter{
		Sequence: s.seq, Consumer: strings.TrimPrefix(s.subject, events.DeadLetterSubject("")),
		Reason: h.Get(HeaderDeadReason), Stream: h.Get(HeaderDeadStream), Subject: h.Get(HeaderDeadSubject),
		TraceParent: h.Get("ce-traceparent"), Header: map[string][]string{}, Data: s.data,
	}
	d.Status, _ = strconv.Atoi(h.Get(HeaderDeadStatus))
	d.Attempts, _ = strconv.Atoi(h.Get(HeaderDeadAttempts))
	d.OriginalSequence, _ = strconv.ParseUint(h.Get(HeaderDeadSequence), 10, 64)
	d.Time, _ = time.Parse(time.RFC3339Nano, h.Get(HeaderDeadTime))
	for k, v := range h {
		if !aside(k) {
			d.Header[k] = v
		}
	}
	d.Event, d.Err = event(nats.Header(d.Header), d.Data, d.Subject, d.OriginalSequence)
	if d.Event.TraceParent != "" {
		d.TraceParent = d.Event.TraceParent
	}
	return d
}

// aside tells whether a header is JetStream's or the dead letter's, not the
// event's.
func aside(key string) bool {
	return strings.HasPrefix(key, "Nats-") || strings.HasPrefix(key, "dead-")
}
