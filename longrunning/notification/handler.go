package notification

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// Handler serves the WebSocket protocol on /ws. A request that is no upgrade, of
// a foreign origin, or while the instance drains gets a problem+json answer.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws", s.upgrade)
	return mux
}

func (s *Service) upgrade(w http.ResponseWriter, r *http.Request) {
	select {
	case <-s.draining:
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, "draining", "this instance goes away; connect again")
		return
	default:
	}
	if !s.allowed(r) {
		refuse(w, http.StatusForbidden, "origin_not_allowed", "the origin may not connect")
		return
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Upgrade", "websocket")
		refuse(w, http.StatusUpgradeRequired, "upgrade_required", "this is a WebSocket endpoint")
		return
	}
	conn, rw, _, err := ws.HTTPUpgrader{Timeout: s.cfg.WriteTimeout}.Upgrade(r, w)
	if err != nil {
		s.logger.Debug("upgrade", "remote", r.RemoteAddr, "error", err)
		if conn != nil {
			_ = conn.Close() // the answer has said why
		}
		return
	}
	c := &session{svc: s, conn: conn}
	if n := rw.Reader.Buffered(); n > 0 {
		c.early = make([]byte, n)
		_, _ = rw.Reader.Read(c.early) // from its buffer: can't fail
	}
	now := time.Now().UnixNano()
	c.since = now
	c.heard.Store(now)
	if !s.admit(c) {
		_ = conn.Close() // began to drain just now
		return
	}
	go c.serve() // not here: the server's goroutine and buffers are much larger
}

// allowed tells whether the request's origin may connect. Only browsers send one.
func (s *Service) allowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	for _, o := range s.cfg.Origins {
		if o == "*" || strings.EqualFold(o, origin) {
			return true
		}
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

func refuse(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // the client is gone if this fails
		"type": "about:blank", "title": http.StatusText(status), "status": status, "code": code, "detail": detail,
	})
}
