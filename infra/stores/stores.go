// Package stores says what the three views are: what is written to them, what
// is read from them, and what both sides of the platform may rely on.
//
// Stores are views of the log. All writes are upserts keyed by the record and
// decided by its sequence, so that they may come twice, late and in any order,
// from any number of writers. There are no joins or transactions across stores
// and no offsets. infra/storetest judges every adapter by these interfaces; a
// method that is added here is demanded of all.
//
// Which adapter serves is configuration: the packages messages, metadata and
// search below open one by its name (STORE_MESSAGES, STORE_METADATA,
// STORE_SEARCH). They are three so that a process links only the drivers of the
// views that it uses. Nothing else knows a product.
package stores

import (
	"context"
	"math"

	"github.com/chat-platform/chat/events"
)

// All is the sequence through which a view's records are all of them.
const All = uint64(math.MaxUint64)

// Opened is what whoever opened a store needs of it.
type Opened interface {
	// Ping tells whether the store answers; events.ErrUnavailable if not.
	Ping(ctx context.Context) error
	Close() error
}

// View is what all stores have in common.
type View interface {
	Opened
	// Checksums sums the records with a sequence of at most through, by channel
	// ([All] for those of any). It reads everything.
	Checksums(ctx context.Context, through uint64) (map[events.ChannelID]events.Checksum, error)
	// Claim tells of which log the view is, by its epoch. A view that is of none yet
	// is of the given one from then on, unless that is empty: then so is the answer.
	// All who claim it at once get the same answer.
	Claim(ctx context.Context, epoch string) (string, error)
	// Empty tells whether the view holds no record.
	Empty(ctx context.Context) (bool, error)
	// Reset drops all content. The view is of no log then.
	Reset(ctx context.Context) error
	// Drop removes this generation wholly, schema and all, and closes the store.
	// Others stay as they are.
	Drop(ctx context.Context) error
}

// Messages stores the messages of channels. For one message id the lowest
// sequence wins.
type Messages interface {
	View
	MessagesReader
	PutMessages(ctx context.Context, ms []events.Message) error
}

// MessagesReader is what commands and queries may do with messages.
type MessagesReader interface {
	Opened
	History(ctx context.Context, q events.HistoryQuery) (events.HistoryPage, error)
	// MessagesByID gives those of the ids that exist in the channel.
	MessagesByID(ctx context.Context, channel events.ChannelID, ids []events.MessageID) (map[events.MessageID]events.Message, error)
}

// Metadata stores channels and memberships; the highest sequence wins.
type Metadata interface {
	View
	MetadataReader
	PutChannels(ctx context.Context, cs []events.Channel) error
	PutMembers(ctx context.Context, ms []events.Member) error
}

// MetadataReader is what commands and queries may do with channels and
// memberships.
type MetadataReader interface {
	Opened
	// ChannelByID gives events.ErrChannelNotFound where there is none.
	ChannelByID(ctx context.Context, id events.ChannelID) (events.Channel, error)
	// PublicChannels lists by id, those after the given one.
	PublicChannels(ctx context.Context, after events.ChannelID, limit int) ([]events.Channel, error)
	// ChannelsOf lists a user's active memberships by channel id. A channel
	// whose own event has not come yet has but its id.
	ChannelsOf(ctx context.Context, user events.UserID, after events.ChannelID, limit int) ([]events.Membership, error)
	// MembersOf lists a channel's active members by user id.
	MembersOf(ctx context.Context, channel events.ChannelID, after events.UserID, limit int) ([]events.Member, error)
}

// Search finds messages by their words. For one message id the lowest sequence
// wins.
type Search interface {
	View
	SearchReader
	IndexMessages(ctx context.Context, ms []events.Message) error
}

// SearchReader is what commands and queries may do with the index.
type SearchReader interface {
	Opened
	SearchMessages(ctx context.Context, q events.SearchQuery) (events.SearchPage, error)
}
