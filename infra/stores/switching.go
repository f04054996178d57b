package stores

import (
	"context"

	"github.com/chat-platform/chat/events"
)

// SwitchingMessages is the messages view, of whichever generation.
type SwitchingMessages struct{ *Switching[Messages] }

// PutMessages is of [Messages].
func (s SwitchingMessages) PutMessages(ctx context.Context, ms []events.Message) error {
	return s.write(ctx, func(ctx context.Context, store Messages) error { return store.PutMessages(ctx, ms) })
}

// History is of [MessagesReader].
func (s SwitchingMessages) History(ctx context.Context, q events.HistoryQuery) (page events.HistoryPage, err error) {
	err = s.read(ctx, func(store Messages) (err error) {
		page, err = store.History(ctx, q)
		return err
	})
	return page, err
}

// MessagesByID is of [MessagesReader].
func (s SwitchingMessages) MessagesByID(ctx context.Context, channel events.ChannelID, ids []events.MessageID) (found map[events.MessageID]events.Message, err error) {
	err = s.read(ctx, func(store Messages) (err error) {
		found, err = store.MessagesByID(ctx, channel, ids)
		return err
	})
	return found, err
}

// SwitchingMetadata is the metadata view, of whichever generation.
type SwitchingMetadata struct{ *Switching[Metadata] }

// PutChannels is of [Metadata].
func (s SwitchingMetadata) PutChannels(ctx context.Context, cs []events.Channel) error {
	return s.write(ctx, func(ctx context.Context, store Metadata) error { return store.PutChannels(ctx, cs) })
}

// PutMembers is of [Metadata].
func (s SwitchingMetadata) PutMembers(ctx context.Context, ms []events.Member) error {
	return s.write(ctx, func(ctx context.Context, store Metadata) error { return store.PutMembers(ctx, ms) })
}

// ChannelByID is of [MetadataReader].
func (s SwitchingMetadata) ChannelByID(ctx context.Context, id events.ChannelID) (c events.Channel, err error) {
	err = s.read(ctx, func(store Metadata) (err error) {
		c, err = store.ChannelByID(ctx, id)
		return err
	})
	return c, err
}

// PublicChannels is of [MetadataReader].
func (s SwitchingMetadata) PublicChannels(ctx context.Context, after events.ChannelID, limit int) (cs []events.Channel, err error) {
	err = s.read(ctx, func(store Metadata) (err error) {
		cs, err = store.PublicChannels(ctx, after, limit)
		return err
	})
	return cs, err
}

// ChannelsOf is of [MetadataReader].
func (s SwitchingMetadata) ChannelsOf(ctx context.Context, user events.UserID, after events.ChannelID, limit int) (ms []events.Membership, err error) {
	err = s.read(ctx, func(store Metadata) (err error) {
		ms, err = store.ChannelsOf(ctx, user, after, limit)
		return err
	})
	return ms, err
}

// MembersOf is of [MetadataReader].
func (s SwitchingMetadata) MembersOf(ctx context.Context, channel events.ChannelID, after events.UserID, limit int) (ms []events.Member, err error) {
	err = s.read(ctx, func(store Metadata) (err error) {
		ms, err = store.MembersOf(ctx, channel, after, limit)
		return err
	})
	return ms, err
}

// SwitchingSearch is the search view, of whichever generation.
type SwitchingSearch struct{ *Switching[Search] }

// IndexMessages is of [Search].
func (s SwitchingSearch) IndexMessages(ctx context.Context, ms []events.Message) error {
	return s.write(ctx, func(ctx context.Context, store Search) error { return store.IndexMessages(ctx, ms) })
}

// SearchMessages is of [SearchReader].
func (s SwitchingSearch) SearchMessages(ctx context.Context, q events.SearchQuery) (page events.SearchPage, err error) {
	err = s.read(ctx, func(store Search) (err error) {
		page, err = store.SearchMessages(ctx, q)
		return err
	})
	return page, err
}
