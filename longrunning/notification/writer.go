package notification

import (
	"sync"
	"time"
)

const (
	batchBytes = 32 << 10 // frames up to so many bytes leave in one write
	directSize = 16 << 10 // longer frames are written as they are, without a copy
)

var (
	queues  = sync.Pool{New: func() any { q := make([]outgoing, 0, 64); return &q }}
	batches = sync.Pool{New: func() any { b := make([]byte, 0, batchBytes); return &b }}
)

func takeQueue() []outgoing { return (*queues.Get().(*[]outgoing))[:0] }

func giveQueue(q []outgoing) {
	if cap(q) == 0 || cap(q) > 1024 { // a burst's queue is not kept
		return
	}
	clear(q)
	q = q[:0]
	queues.Put(&q)
}

// flush writes the queue until it is empty. Whoever set s.writing calls it once.
func (s *session) flush() {
	written := 0
	for {
		s.mu.Lock()
		s.bytes -= written
		q := s.queue
		s.queue = nil
		if len(q) == 0 {
			s.writing = false
			if s.drained != nil {
				close(s.drained)
				s.drained = nil
			}
			s.mu.Unlock()
			return
		}
		final := s.final
		s.mu.Unlock()
		var err error
		if written, err = s.write(q, final); err != nil {
			s.abort()
			return
		}
		giveQueue(q)
	}
}

// write writes the frames, as many as fit at once. A close sets the deadline
// of its own.
func (s *session) write(q []outgoing, final bool) (n int, err error) {
	var b []byte // a frame alone needs no copy, and a slow socket then holds no buffer
	if len(q) > 1 {
		batch := batches.Get().(*[]byte)
		defer batches.Put(batch)
		b = (*batch)[:0]
	}
	flush := func(frame []byte) error {
		if len(frame) == 0 {
			return nil
		}
		s.svc.metrics.writes.Inc()
		if !final {
			_ = s.conn.SetWriteDeadline(time.Now().Add(s.svc.cfg.WriteTimeout)) // the write tells
		}
		_, err := s.conn.Write(frame)
		return err
	}
	oldest, delivered := int64(0), 0
	for _, o := range q {
		n += len(o.frame)
		if o.at != 0 {
			delivered++
			if oldest == 0 {
				oldest = o.at
			}
		}
		direct := len(q) == 1 || len(o.frame) >= directSize
		if direct || len(b)+len(o.frame) > batchBytes {
			if err := flush(b); err != nil {
				return n, err
			}
			b = b[:0]
		}
		if !direct {
			b = append(b, o.frame...)
		} else if err := flush(o.frame); err != nil {
			return n, err
		}
	}
	if err := flush(b); err != nil {
		return n, err
	}
	s.svc.metrics.delivered(delivered, oldest)
	return n, nil
}

// abort ends a session whose connection does not work any more. The reader
// notices that it is closed and cleans up.
func (s *session) abort() {
	s.mu.Lock()
	if !s.final {
		s.svc.metrics.close(0)
		s.final, s.held = true, nil
		s.enter(closing)
		if s.cancel != nil {
			s.cancel()
		}
	}
	s.queue = nil
	s.writing = true // for good: nobody is to write again
	if s.drained != nil {
		close(s.drained)
		s.drained = nil
	}
	s.mu.Unlock()
	_ = s.conn.Close() // it failed before this
}
