package nats

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/chat-platform/chat/events"
)

// streamViews holds one record for each view: which generation of it is live.
// It is no part of the log, but belongs to it: it goes where the log goes.
const (
	streamViews   = "VIEWS"
	viewsSubjects = "views.*"
)

func viewSubject(view string) (string, error) {
	if view == "" || strings.ContainsAny(view, ".*> \t\r\n") {
		return "", events.Invalid("invalid_view", "view", "%q is no name of a view", view)
	}
	return "views." + view, nil
}

// ReadView gives the record of a view and its revision, by the leader's word;
// nil and 0 where there is none yet.
func (l *Log) ReadView(ctx context.Context, view string) (data []byte, revision uint64, err error) {
	subject, err := viewSubject(view)
	var s stored
	if err == nil {
		s, _, err = l.leader(ctx, streamViews, getRequest{LastFor: subject})
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read the state of view %s: %w", view, translate(err))
	}
	return s.data, s.seq, nil
}

// WriteView replaces the record of a view, if its revision is still the given
// one (0: there is none yet), and gives the new revision. The error is of kind
// events.ErrConflict where somebody else has replaced it; where it is
// events.ErrUnavailable the record may have been written or not.
func (l *Log) WriteView(ctx context.Context, view string, data []byte, revision uint64) (uint64, error) {
	subject, err := viewSubject(view)
	var ack events.Ack
	if err == nil {
		ack, err = l.publishMsg(ctx, &nats.Msg{Subject: subject, Data: data, Header: nats.Header{
			jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(revision, 10)}}})
	}
	if err != nil {
		return 0, fmt.Errorf("write the state of view %s: %w", view, translate(err))
	}
	return ack.Seq, nil
}
