package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/chat-platform/chat/events"
)

// getRequest asks for messages of a stream (the server's JSApiMsgGetRequest).
type getRequest struct {
	Seq       uint64   `json:"seq,omitempty"`
	LastFor   string   `json:"last_by_subj,omitempty"`
	NextFor   string   `json:"next_by_subj,omitempty"`
	Batch     int      `json:"batch,omitempty"`
	MaxBytes  int      `json:"max_bytes,omitempty"`
	MultiLast []string `json:"multi_last,omitempty"`
	UpToSeq   uint64   `json:"up_to_seq,omitempty"`
}

// stored is a message as it lies in a stream.
type stored struct {
	subject string // plain
	seq     uint64
	header  nats.Header
	data    []byte
}

func (s stored) event() (events.Event, error) { return event(s.header, s.data, s.subject, s.seq) }

// errTooMany says that the subjects asked for match more stored ones than the
// server answers at once.
var errTooMany = errors.New("direct get: too many results")

// directStored reads one answer of a direct get. Status is the answer's status
// where it is not a message: 404, or 204 for the end of a batch.
func directStored(m *nats.Msg) (s stored, status string, err error) {
	seq := m.Header.Get(jetstream.SequenceHeader)
	if seq == "" {
		status = m.Header.Get("Status")
		switch status {
		case "204", "404":
			return stored{}, status, nil
		case "413":
			return stored{}, status, errTooMany
		case "503":
			return stored{}, status, nats.ErrNoResponders
		}
		return stored{}, status, fmt.Errorf("direct get: status %q: %s", status, m.Header.Get("Description"))
	}
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		return stored{}, "", fmt.Errorf("direct get: sequence %q is not a number", seq)
	}
	return stored{subject: plainSubject(m.Header.Get(jetstream.SubjectHeader)), seq: n, header: m.Header, data: m.Data}, "", nil
}

// request asks, and waits no longer once the connection is lost: the answer would
// have come by it.
func (l *Log) request(ctx context.Context, subject string, payload []byte) (*nats.Msg, error) {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	own, line, stop := l.whileConnected(ctx)
	defer stop()
	m, err := l.nc.RequestWithContext(own, subject, payload)
	if err != nil && line.Err() != nil && ctx.Err() == nil {
		return nil, nats.ErrDisconnected
	}
	return m, err
}

// direct asks any replica for one message.
func (l *Log) direct(ctx context.Context, subject string, payload []byte) (stored, bool, error) {
	m, err := l.request(ctx, subject, payload)
	if err != nil {
		return stored{}, false, translate(err)
	}
	s, status, err := directStored(m)
	return s, status == "", translate(err)
}

// leader asks the stream's leader for one message.
func (l *Log) leader(ctx context.Context, stream string, req getRequest) (stored, bool, error) {
	m, err := l.request(ctx, "$JS.API.STREAM.MSG.GET."+stream, encode(req))
	if err != nil {
		return stored{}, false, translate(err)
	}
	var a struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Subject string `json:"subject"`
			Seq     uint64 `json:"seq"`
			Header  []byte `json:"hdrs"`
			Data    []byte `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return stored{}, false, fmt.Errorf("stream %s: answer: %w", stream, err)
	}
	if a.Error != nil {
		if a.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return stored{}, false, nil
		}
		return stored{}, false, translate(a.Error)
	}
	s := stored{subject: plainSubject(a.Message.Subject), seq: a.Message.Seq, data: a.Message.Data}
	if len(a.Message.Header) > 0 {
		if s.header, err = nats.DecodeHeadersMsg(a.Message.Header); err != nil {
			return stored{}, false, events.Invalid("invalid_event", "", "message %d of %s: headers: %v", s.seq, stream, err)
		}
	}
	return s, true, nil
}

func encode(req getRequest) []byte {
	b, _ := json.Marshal(req) // strings and numbers only
	return b
}

// batcher asks any replica for many messages at a time over one inbox. One
// request at a time.
type batcher struct {
	l       *Log
	subject string
	inbox   string
	sub     *nats.Subscription
	answers chan *nats.Msg
}

// batchBytes bounds what one request brings, so that a batch of long messages
// does not fill the memory.
const batchBytes = 8 << 20

func (l *Log) newBatcher(stream string, most int) (*batcher, error) {
	b := &batcher{l: l, subject: "$JS.API.DIRECT.GET." + stream, inbox: l.nc.NewInbox(), answers: make(chan *nats.Msg, most+1)}
	var err error
	b.sub, err = l.nc.ChanSubscribe(b.inbox, b.answers)
	return b, err
}

func (b *batcher) close() { _ = b.sub.Unsubscribe() }

func (b *batcher) ask(req getRequest) error {
	req.MaxBytes = batchBytes
	return b.l.nc.PublishRequest(b.subject, b.inbox, encode(req))
}

// next returns the next message of the answer; more is false at its end, and
// left then says how many further ones the replica has.
func (b *batcher) next(ctx context.Context) (s stored, more bool, left uint64, err error) {
	select {
	case m := <-b.answers:
		s, status, err := directStored(m)
		if status == "204" {
			left, _ = strconv.ParseUint(m.Header.Get("Nats-Num-Pending"), 10, 64)
		}
		return s, err == nil && status == "", left, translate(err)
	case <-ctx.Done():
		return stored{}, false, 0, translate(ctx.Err())
	}
}
