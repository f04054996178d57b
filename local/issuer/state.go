package issuer

import (
	"sync"
	"time"
)

const (
	codeLifetime = time.Minute
	maxCodes     = 10_000
	maxSessions  = 100_000
)

// grant is what somebody was given in an authorization request.
type grant struct {
	client, redirectURI, challenge string
	user, nonce, scope             string
	authTime                       time.Time
}

// codes are the authorization codes not yet used, at most maxCodes.
type codes struct {
	mu sync.Mutex
	m  map[string]grant
}

func newCodes() *codes { return &codes{m: map[string]grant{}} }

// issue makes a code for g. A full set gives up its expired ones, and if there
// are none any one.
func (c *codes) issue(g grant) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.m) >= maxCodes {
		for code, old := range c.m {
			if g.authTime.Sub(old.authTime) > codeLifetime {
				delete(c.m, code)
			}
		}
	}
	for code := range c.m {
		if len(c.m) < maxCodes {
			break
		}
		delete(c.m, code)
	}
	code := random()
	c.m[code] = g
	return code
}

// take uses a code up.
func (c *codes) take(code string, now time.Time) (grant, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g, ok := c.m[code]
	delete(c.m, code)
	return g, ok && now.Sub(g.authTime) <= codeLifetime
}

// sessions knows which refresh token of a session is the current one. A session
// that it does not know (a first refresh, or one after a restart) is believed,
// since its token is signed.
type sessions struct {
	mu sync.Mutex
	m  map[string]int // session id → number of the only refresh token that counts; -1: ended
}

func newSessions() *sessions { return &sessions{m: map[string]int{}} }

// advance uses up refresh token n of a session and gives the next one's number.
// A token used before ends the session: two hold it, and one has stolen it.
func (s *sessions) advance(id string, n int) (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if current, known := s.m[id]; known && current != n {
		s.m[id] = -1
		return 0, false
	}
	s.put(id, n+1)
	return n + 1, true
}

func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(id, -1)
}

func (s *sessions) put(id string, n int) {
	for other := range s.m {
		if len(s.m) < maxSessions {
			break
		}
		delete(s.m, other)
	}
	s.m[id] = n
}
