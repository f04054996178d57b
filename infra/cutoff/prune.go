package cutoff

import "time"

// pruneEvery is how often what is over is looked for.
const pruneEvery = time.Minute

// prune drops what is over, now and then, and what is too much. The lock is held.
func (s *Set) prune(now time.Time) {
	full := len(s.users)+len(s.sessions) > s.cfg.MaxEntries
	if full || now.Sub(s.pruned) >= pruneEvery {
		s.pruned = now
		at := now.UnixNano()
		for u, e := range s.users {
			if e.until <= at {
				delete(s.users, u)
			}
		}
		for id, until := range s.sessions {
			if until <= at {
				delete(s.sessions, id)
			}
		}
		for _, e := range []*entry{&s.everyone, &s.roles} {
			if e.until <= at {
				*e = entry{}
			}
		}
	}
	if over := len(s.users) + len(s.sessions) - s.cfg.MaxEntries; over > 0 {
		s.overflow(over + s.cfg.MaxEntries/16)
	}
	n := len(s.users) + len(s.sessions)
	for _, e := range []entry{s.everyone, s.roles} {
		if e.until != 0 {
			n++
		}
	}
	s.size.Store(int64(n))
}

// overflow drops about n entries: ended sessions first, since whoever fills the
// set does it with logins and logouts of their own, then users. The tokens of
// those may be used until they expire.
func (s *Set) overflow(n int) {
	s.log.Error("cut-offs: too many at once, some are forgotten before their end", "entries", len(s.users)+len(s.sessions), "forgotten", n)
	s.metrics.forgotten.Add(float64(n))
	for id := range s.sessions {
		if n == 0 {
			return
		}
		delete(s.sessions, id)
		n--
	}
	for u := range s.users {
		if n == 0 {
			return
		}
		delete(s.users, u)
		n--
	}
}
