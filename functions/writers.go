package functions

import (
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/writer/messagewriter"
	"github.com/chat-platform/chat/functions/writer/metadatawriter"
	"github.com/chat-platform/chat/functions/writer/searchwriter"
)

// Stores is what writers are made of: the views' write sides.
type Stores struct {
	Messages messagewriter.Store
	Metadata metadatawriter.Store
	Search   searchwriter.Store
	Serving
}

// Writers makes all writers.
func Writers(s Stores) []*Function {
	messages := messagewriter.New(s.Messages)
	metadata := metadatawriter.New(s.Metadata)
	search := searchwriter.New(s.Search)
	return []*Function{
		frontdoor.Writer(messagewriter.Spec, messages.Handle, s.options(messages)...),
		frontdoor.Writer(metadatawriter.Spec, metadata.Handle, s.options(metadata)...),
		frontdoor.Writer(searchwriter.Spec, search.Handle, s.options(search)...),
	}
}
