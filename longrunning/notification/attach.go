package notification

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

// follow keeps a link to some fan-out, for as long as ctx lasts.
func (s *Service) follow(ctx context.Context) {
	const shortest, longest = 50 * time.Millisecond, 2 * time.Second
	wait := shortest
	for ctx.Err() == nil {
		worked, err := s.attach(ctx)
		s.attached.Store(false)
		if ctx.Err() != nil {
			return
		}
		if worked {
			wait = shortest
		}
		s.logger.Warn("no link to a fan-out", "error", err, "again", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait/2 + rand.N(wait)):
		}
		wait = min(2*wait, longest)
	}
}

// attach links to a fan-out, fills what was missed, and delivers the frames until
// the link is over. It tells whether it came to deliver.
func (s *Service) attach(ctx context.Context) (bool, error) {
	id, err := s.establish(ctx)
	if err != nil {
		return false, err
	}
	tracker := link.Track(id, time.Now())
	s.attached.Store(true)
	s.metrics.attaches.Inc()
	tick := time.NewTicker(link.SilenceAfter / 12)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.detach(context.WithoutCancel(ctx))
			return true, nil
		case id := <-s.broken:
			if id == tracker.Link() {
				return true, fmt.Errorf("link %v: the fan-out does not answer", id)
			}
		case b := <-s.frames:
			f, err := link.ParseFrame(b)
			if err != nil {
				return true, fmt.Errorf("frame on link %v: %w", tracker.Link(), err)
			}
			switch tracker.Take(f, time.Now()) {
			case link.Deliver:
				s.deliver(f) //nolint:contextcheck // what a session does outlives the link
			case link.Broken:
				return true, fmt.Errorf("link %v: frame %d is not the next one", f.Link, f.Number)
			}
			if f.Last && tracker.Over(time.Now()) {
				return true, fmt.Errorf("link %v: the fan-out ended it", f.Link)
			}
		case <-tick.C:
			if len(s.frames) == 0 && tracker.Over(time.Now()) {
				return true, fmt.Errorf("link %v: no frame for %v", tracker.Link(), link.SilenceAfter)
			}
		}
	}
}

// establish makes the link: it attaches, announces all keys, and reads from the
// log what lies between the last link and this one.
func (s *Service) establish(ctx context.Context) (link.ID, error) {
	s.linkMu.Lock()
	defer s.linkMu.Unlock()
	s.link = 0
	if err := s.recognise(ctx); err != nil {
		return 0, err
	}
	id, a, err := s.knock(ctx)
	if err != nil {
		return 0, fmt.Errorf("attach to a fan-out: %w", err)
	}
	fanout := a.FanOut
	keys, batch := s.hub.all()
	for i := range link.Interests(id, keys, nil) {
		if a, err = s.request(ctx, link.InterestSubject(fanout), i); err != nil {
			return 0, fmt.Errorf("announce %d keys to fan-out %s: %w", len(keys), fanout, err)
		}
	}
	if err := s.bridge(ctx, a.Positions); err != nil {
		return 0, err
	}
	s.hub.announced(batch, a.Positions)
	s.link, s.fanout = id, fanout
	if !s.promising() {
		close(s.linked)
	}
	s.logger.Info("attached", "fanout", fanout, "link", id.String(), "keys", len(keys),
		"messages", a.Positions.Messages, "metadata", a.Positions.Metadata)
	return id, nil
}

// knock asks for a link at any fan-out. One that hangs still gets its share of
// the requests, so whoever does not answer soon is passed over; each try is
// given more time, lest a busy machine never get one through.
func (s *Service) knock(ctx context.Context) (id link.ID, a link.Answer, err error) {
	for wait := link.RequestTimeout / 8; wait <= link.RequestTimeout; wait *= 2 {
		id = link.NewLinkID()
		try, cancel := context.WithTimeout(ctx, wait)
		a, err = s.request(try, link.AttachSubject, link.Attach{Link: id, Instance: s.cfg.Instance})
		late := try.Err() != nil
		cancel()
		if err == nil || !late {
			break // an answer, or nobody is there
		}
	}
	return id, a, err
}

// recognise makes sure that the log is the one that the sessions know.
func (s *Service) recognise(ctx context.Context) error {
	var last link.Positions
	name, err := s.log.Epoch(ctx)
	if err != nil {
		return fmt.Errorf("read the log's epoch: %w", err)
	}
	if last.Messages, err = s.log.LastSequence(ctx, events.StreamMessages); err == nil {
		last.Metadata, err = s.log.LastSequence(ctx, events.StreamMetadata)
	}
	if err != nil {
		return fmt.Errorf("read the log's end: %w", err)
	}
	e := epochOf(name)
	if old := s.epochNow(); old != 0 && (old != e || !covers(last, s.hub.position())) {
		s.logger.Warn("the log is another one, or was set back; all sessions begin anew")
		s.anew("the log was replaced: resume or identify", func() {
			s.epoch.Store(uint64(e))
			s.hub.reset(link.Positions{})
			s.witness.reset()
		})
	}
	s.epoch.Store(uint64(e))
	s.witness.saw(last.Messages, last.Metadata)
	return nil
}

// bridge delivers what lies between the place routed so far and the link's.
func (s *Service) bridge(ctx context.Context, to link.Positions) error {
	from := s.hub.position()
	to = later(from, to)
	events := to.Messages - from.Messages + to.Metadata - from.Metadata
	switch {
	case !s.promising():
		s.hub.reset(to)
	case events > uint64(s.cfg.GapEvents):
		s.logger.Warn("too far behind the log; all sessions are to resume", "events", events)
		s.anew("the instance fell behind: resume", func() { s.hub.reset(to) })
	case events > 0:
		if err := s.refill(ctx, from, to); err != nil {
			return fmt.Errorf("fill the gap from the log: %w", err)
		}
		s.logger.Info("gap filled from the log", "events", events)
	}
	return nil
}

// promising tells whether there has been a link: sessions wait for the first one,
// and are owed what comes after the place that it began at. An empty log's is a place
// like any other.
func (s *Service) promising() bool {
	select {
	case <-s.linked:
		return true
	default:
		return false
	}
}

// refill routes the log's events after from up to to, as a link would have.
func (s *Service) refill(ctx context.Context, from, to link.Positions) error {
	p := prevs{s.log, map[events.ChannelID]uint64{}}
	at := from
	var ds []*delivery
	flush := func() error {
		if err := p.fill(ctx, from.Messages, ds); err != nil {
			return err
		}
		s.route(ds) //nolint:contextcheck // what a session does outlives the link
		s.metrics.refilled.Add(float64(len(ds)))
		ds = nil
		return nil
	}
	for _, stream := range []struct {
		name     string
		from, to uint64
	}{
		{events.StreamMetadata, from.Metadata, to.Metadata},
		{events.StreamMessages, from.Messages, to.Messages},
	} {
		if stream.from == stream.to {
			continue
		}
		err := s.log.Range(ctx, stream.name, nil, stream.from+1, stream.to, func(e events.Event) error {
			d := s.read(link.Item{Event: e, Stream: stream.name})
			if d == nil {
				return nil
			}
			at = d.advance(at)
			d.after.at = at
			if ds = append(ds, d); len(ds) < 256 {
				return nil
			}
			return flush()
		})
		if err == nil {
			err = flush()
		}
		if err != nil {
			return err
		}
		if stream.name == events.StreamMetadata {
			at.Metadata = to.Metadata
			s.hub.reach(link.Positions{Messages: from.Messages, Metadata: to.Metadata})
		}
	}
	s.hub.reach(to)
	return nil
}

// detach ends the link; a fan-out that does not hear it finds out by itself.
func (s *Service) detach(ctx context.Context) {
	s.linkMu.Lock()
	defer s.linkMu.Unlock()
	if s.link != 0 {
		_, _ = s.request(ctx, link.InterestSubject(s.fanout), link.Detach{Link: s.link})
		s.link = 0
	}
}

// request asks a fan-out. An answer other than OK is an error of kind
// events.ErrUnavailable.
func (s *Service) request(ctx context.Context, subject string, r link.Request) (link.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, link.RequestTimeout)
	defer cancel()
	b, err := s.bus.Request(ctx, subject, r.Append(nil))
	if err != nil {
		return link.Answer{}, err
	}
	a, err := link.ParseAnswer(b)
	if err == nil && a.Status != link.StatusOK {
		err = fmt.Errorf("%w: %s: %v", events.ErrUnavailable, subject, a.Status)
	}
	return a, err
}

// announce tells the fan-out about keys as they come, and about keys that are
// not wanted any more with the heartbeat.
func (s *Service) announce(ctx context.Context) {
	heartbeat := time.NewTicker(link.HeartbeatEvery)
	defer heartbeat.Stop()
	for {
		beat := false
		select {
		case <-ctx.Done():
			return
		case <-s.hub.kick:
		case <-heartbeat.C:
			beat = true
		}
		if id, err := s.tell(ctx, beat); err != nil {
			s.logger.Debug("announce", "error", err)
			select {
			case s.broken <- id:
			default: // one is enough
			}
		}
	}
}

func (s *Service) tell(ctx context.Context, beat bool) (link.ID, error) {
	s.linkMu.Lock()
	defer s.linkMu.Unlock()
	if s.link == 0 {
		return 0, nil // the next link announces everything
	}
	add, remove, batch := s.hub.changes(beat, link.MaxKeys)
	if len(batch) == 0 && !beat {
		return 0, nil
	}
	var pos link.Positions
	for i := range link.Interests(s.link, add, remove) {
		a, err := s.request(ctx, link.InterestSubject(s.fanout), i)
		if err != nil {
			id := s.link
			s.link = 0
			return id, err
		}
		pos = a.Positions
	}
	s.hub.announced(batch, pos)
	return 0, nil
}
