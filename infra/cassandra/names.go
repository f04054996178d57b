package cassandra

import (
	"regexp"
	"strconv"
	"sync"
)

// suffix ends the names of a generation's tables.
func (c Config) suffix() string {
	if c.Generation <= 1 {
		return ""
	}
	return "_" + strconv.Itoa(c.Generation)
}

// part is what migrations of this generation are recorded under.
func (c Config) part() string { return "messages" + c.suffix() }

// names turns statements for the first generation into those for another one.
type names struct {
	suffix string
	known  sync.Map // statements by statement; there are some twenty
}

var tableName = regexp.MustCompile(`\b(messages|message_ids|channel_buckets)\b`)

// table is the statement for the store's own tables.
func (s *Store) table(stmt string) string {
	if s.names.suffix == "" {
		return stmt
	}
	if own, ok := s.names.known.Load(stmt); ok {
		return own.(string)
	}
	own := renamed(stmt, s.names.suffix)
	s.names.known.Store(stmt, own)
	return own
}

func renamed(stmt, suffix string) string { return tableName.ReplaceAllString(stmt, "${1}"+suffix) }
