package hot

import (
	"encoding/json"
	"fmt"

	"github.com/chat-platform/chat/events"
)

// maxValue is how long a page may be to be shared: a larger one would keep the
// cache's connection, and all who wait for one, for longer than a load takes.
const maxValue = 256 << 10

// form is a page as it is shared. A form that means something else gets another
// number, so that processes of two releases do not misread each other.
type form struct {
	Form     int              `json:"form"`
	More     bool             `json:"more"`
	Messages []events.Message `json:"messages"`
}

const formNow = 1

// encode gives nil for a page that is not to be shared.
func encode(page events.HistoryPage) []byte {
	b, err := json.Marshal(form{formNow, page.MoreBefore, page.Messages})
	if err != nil || len(b) > maxValue {
		return nil
	}
	return b
}

func decode(b []byte) (events.HistoryPage, error) {
	var f form
	if err := json.Unmarshal(b, &f); err != nil {
		return events.HistoryPage{}, fmt.Errorf("%w: %w", errPage, err)
	}
	if f.Form != formNow {
		return events.HistoryPage{}, fmt.Errorf("%w: form %d", errPage, f.Form)
	}
	return events.HistoryPage{Messages: f.Messages, MoreBefore: f.More}, nil
}
