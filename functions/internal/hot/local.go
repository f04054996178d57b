package hot

import (
	"container/list"
	"sync"
	"time"

	"github.com/chat-platform/chat/events"
)

// local keeps pages in the process, those used last, within a number of bytes.
type local struct {
	most int
	ttl  time.Duration

	mu    sync.Mutex
	kept  map[string]*list.Element
	order *list.List // of *entry, the one used last in front
	bytes int
}

type entry struct {
	key     string
	version version
	page    events.HistoryPage
	bytes   int
	until   time.Time
}

func newLocal(most int, ttl time.Duration) *local {
	return &local{most: most, ttl: ttl, kept: map[string]*list.Element{}, order: list.New()}
}

func (l *local) get(key string) (events.HistoryPage, version, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.kept[key]
	if !ok {
		return events.HistoryPage{}, version{}, false
	}
	e := at.Value.(*entry) //nolint:forcetypeassert // nothing else is in the list
	if !time.Now().Before(e.until) {
		l.drop(at)
		return events.HistoryPage{}, version{}, false
	}
	l.order.MoveToFront(at)
	return e.page, e.version, true
}

// put keeps a page, unless it alone would take an eighth of the room.
func (l *local) put(key string, v version, page events.HistoryPage) {
	e := &entry{key: key, version: v, page: page, bytes: size(key, page), until: time.Now().Add(l.ttl)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.kept[key]; ok {
		l.drop(at)
	}
	if e.bytes > l.most/8 {
		return
	}
	l.kept[key] = l.order.PushFront(e)
	l.bytes += e.bytes
	for l.bytes > l.most {
		l.drop(l.order.Back())
	}
}

func (l *local) drop(at *list.Element) {
	e := l.order.Remove(at).(*entry) //nolint:forcetypeassert // nothing else is in the list
	delete(l.kept, e.key)
	l.bytes -= e.bytes
}

// size is what a page takes in memory, about: a message's fields beside its
// texts, and what the list and the map need.
func size(key string, page events.HistoryPage) int {
	n := 400 + 2*len(key)
	for _, m := range page.Messages {
		n += 160 + len(m.ID) + len(m.ChannelID) + len(m.AuthorID) + len(m.ClientID) + len(m.ReplyTo) + len(m.Text)
	}
	return n
}
