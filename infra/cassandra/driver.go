package cassandra

import (
	"log/slog"
	"sync"
	"sync/atomic"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// retry sends a statement once more, to another node if there is one. All
// statements are idempotent.
type retry struct{}

func (retry) Attempt(q gocql.RetryableQuery) bool { return q.Attempts() <= 1 }

func (retry) GetRetryType(err error) gocql.RetryType {
	if kindOf(err) == nil { // what no other node will answer differently
		return gocql.Rethrow
	}
	return gocql.RetryNextHost
}

// counting is a host policy that knows how many nodes are up.
type counting struct {
	gocql.HostSelectionPolicy
	up *hostSet
}

func (c counting) AddHost(h *gocql.HostInfo) { c.up.set(h, true); c.HostSelectionPolicy.AddHost(h) }
func (c counting) RemoveHost(h *gocql.HostInfo) {
	c.up.set(h, false)
	c.HostSelectionPolicy.RemoveHost(h)
}
func (c counting) HostUp(h *gocql.HostInfo)   { c.up.set(h, true); c.HostSelectionPolicy.HostUp(h) }
func (c counting) HostDown(h *gocql.HostInfo) { c.up.set(h, false); c.HostSelectionPolicy.HostDown(h) }

type hostSet struct {
	mu    sync.Mutex
	hosts map[string]bool
	count atomic.Int64
}

func newHostSet() *hostSet { return &hostSet{hosts: map[string]bool{}} }

func (s *hostSet) set(h *gocql.HostInfo, up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if up {
		s.hosts[h.HostID()] = true
	} else {
		delete(s.hosts, h.HostID())
	}
	s.count.Store(int64(len(s.hosts)))
}

// logger passes on what people must know of.
type logger struct{ log *slog.Logger }

func (l logger) Error(msg string, fields ...gocql.LogField) {
	l.log.Error("cassandra: "+msg, attrs(fields)...)
}
func (l logger) Warning(msg string, fields ...gocql.LogField) {
	l.log.Warn("cassandra: "+msg, attrs(fields)...)
}
func (l logger) Info(msg string, fields ...gocql.LogField) {
	l.log.Debug("cassandra: "+msg, attrs(fields)...)
}
func (l logger) Debug(string, ...gocql.LogField) {}

func attrs(fields []gocql.LogField) []any {
	as := make([]any, len(fields))
	for i, f := range fields {
		as[i] = slog.String(f.Name, f.Value.String())
	}
	return as
}
