// Package storetest is the one conformance suite of every store adapter,
// embedded and real alike. What it judges them by are the interfaces of
// infra/stores.
package storetest

import "github.com/chat-platform/chat/infra/stores"

// The interfaces that adapters implement.
type (
	View     = stores.View
	Messages = stores.Messages
	Metadata = stores.Metadata
	Search   = stores.Search
)
