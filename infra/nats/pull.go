package nats

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Bounds of a pull request.
const (
	pullExpires   = 30 * time.Second
	pullHeartbeat = 5 * time.Second
	pullSilence   = 12 * time.Second // without any sign of life, requests count as lost
	pullBytes     = 16 << 20
)

// errGone says that the consumer does not exist (any more).
var errGone = errors.New("consumer is gone")

// puller asks a pull consumer for messages over one lasting inbox. The requests
// outlive the calls that made them: what a request still owes is counted, so
// that never more than asked for is under way. Not safe for concurrent use.
type puller struct {
	nc      *nats.Conn
	subject string
	inbox   string
	sub     *nats.Subscription
	msgs    chan *nats.Msg
	owed    int // asked for and not taken from msgs yet
	heard   time.Time
}

// newPuller makes room for up to most messages under way.
func (l *Log) newPuller(stream, consumer string, most int) (*puller, error) {
	return l.newPullerInto(stream, consumer, make(chan *nats.Msg, 2*most+64))
}

// newPullerInto gives messages to a channel of several pullers.
func (l *Log) newPullerInto(stream, consumer string, msgs chan *nats.Msg) (*puller, error) {
	p := &puller{nc: l.nc, subject: "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer, inbox: l.nc.NewInbox(), msgs: msgs}
	var err error
	p.sub, err = l.nc.ChanSubscribe(p.inbox, p.msgs)
	return p, err
}

func (p *puller) close() { _ = p.sub.Unsubscribe() }

// ensure has about n messages under way; it asks anew only where half of that is
// missing, so that a busy reader does not ask for single messages.
func (p *puller) ensure(n int) error {
	if p.owed > 0 && time.Since(p.heard) > pullSilence {
		p.owed = 0
	}
	want := n - p.owed
	if want <= 0 || want < n/2 {
		return nil
	}
	b, _ := json.Marshal(struct { // numbers only
		Batch     int           `json:"batch"`
		Expires   time.Duration `json:"expires"`
		Heartbeat time.Duration `json:"idle_heartbeat"`
		MaxBytes  int           `json:"max_bytes"`
	}{want, pullExpires, pullHeartbeat, pullBytes})
	if err := p.nc.PublishRequest(p.subject, p.inbox, b); err != nil {
		return err
	}
	if p.owed == 0 {
		p.heard = time.Now()
	}
	p.owed += want
	return nil
}

// take tells whether m is a message, and counts it; otherwise it is a status.
func (p *puller) take(m *nats.Msg) (bool, error) {
	p.heard = time.Now()
	status := ""
	if len(m.Data) == 0 && m.Reply == "" {
		status = m.Header.Get("Status")
	}
	if status == "" {
		p.owed = max(p.owed-1, 0)
		return true, nil
	}
	if status == "100" { // heartbeat
		return false, nil
	}
	description := m.Header.Get("Description")
	if unfilled, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages")); err == nil {
		p.owed = max(p.owed-unfilled, 0)
	} else {
		p.owed = 0
	}
	switch {
	case status == "503", strings.HasPrefix(description, "Consumer Deleted"):
		p.owed = 0
		return false, errGone
	case status == "404", status == "408", status == "409" && description != "Consumer is push based":
		return false, nil
	}
	return false, fmt.Errorf("pull: status %s: %s", status, description)
}

// delivery is what the reply subject of a delivered message says.
type delivery struct {
	attempt, seq, consumerSeq, pending uint64
}

// parseDelivery reads $JS.ACK.<stream>.<consumer>.<attempt>.<seq>.<consumer
// seq>.<time>.<pending>, or the longer form with domain and account.
func parseDelivery(reply string) (delivery, error) {
	var f [12]string
	n := 0
	for rest, more := reply, true; more && n < len(f); n++ {
		f[n], rest, more = strings.Cut(rest, ".")
	}
	at := 4
	if n >= 11 {
		at = 6
	} else if n != 9 {
		return delivery{}, fmt.Errorf("reply subject %q is not a delivery's", reply)
	}
	var d delivery
	var err error
	for i, v := range []*uint64{&d.attempt, &d.seq, &d.consumerSeq, nil, &d.pending} {
		if v == nil {
			continue
		}
		if *v, err = strconv.ParseUint(f[at+i], 10, 64); err != nil {
			return delivery{}, fmt.Errorf("reply subject %q is not a delivery's", reply)
		}
	}
	return d, nil
}
