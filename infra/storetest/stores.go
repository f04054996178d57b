// Package storetest is the one conformance suite of every store adapter,
// embedded and real alike. What it judges them by are the interfaces of
// infra/stores.
package storetest

import "github.com/chat-platform/chat/infra/stores"

// What adapters implement.
type (
	// View is what all stores have.
	View = stores.View
	// Messages is the store of messages.
	Messages = stores.Messages
	// Metadata is the store of channels and memberships.
	Metadata = stores.Metadata
	// Search is the index.
	Search = stores.Search
)
