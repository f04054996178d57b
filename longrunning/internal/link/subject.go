package link

import (
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/chat-platform/chat/events"
)

// AttachSubject is where instances ask for a link; fan-outs with a free slot
// listen in the group [AttachQueue].
const (
	AttachSubject = "fanout.attach"
	AttachQueue   = "fanout"
)

// The clock of a link.
const (
	TickEvery      = time.Second      // a fan-out sends a frame at least so often
	SilenceAfter   = 3 * time.Second  // an instance that got no frame for so long attaches again
	HeartbeatEvery = time.Second      // an instance sends an Interest at least so often
	DeadAfter      = 10 * time.Second // a fan-out that got no request for so long ends the link
	RequestTimeout = 2 * time.Second  // no answer for so long counts as none
)

// NotifySubject is where the frames for an instance go.
func NotifySubject(instance string) string { return "notify." + events.Token(instance) }

// InterestSubject is where a fan-out takes the requests of its links.
func InterestSubject(fanout string) string { return "fanout." + events.Token(fanout) + ".interest" }

// ChannelKey is the key under which a channel's events are routed.
func ChannelKey(c events.ChannelID) string { return string(c) }

// UserKey is the key under which a user's own events (joined, left) are routed. No
// channel id holds a colon, so the two kinds can't meet.
func UserKey(u events.UserID) string { return "user:" + string(u) }

// ID names a link. Zero is none.
type ID uint64

// NewLinkID makes up an id that no other link has had: 64 random bits.
func NewLinkID() ID {
	for {
		if id := ID(rand.Uint64()); id != 0 {
			return id
		}
	}
}

func (id ID) String() string { return strconv.FormatUint(uint64(id), 16) }
