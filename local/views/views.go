// Package views lists the embedded stores: for each its file in the data
// folder, the stream and the durable consumer that it follows, and the writer
// function that feeds it. Tools that fill a store go the same way as the
// service does, through the writer.
package views

import (
	"context"
	"path/filepath"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/writer/messagewriter"
	"github.com/chat-platform/chat/functions/writer/metadatawriter"
	"github.com/chat-platform/chat/functions/writer/searchwriter"
	"github.com/chat-platform/chat/infra/sqlite"
	"github.com/chat-platform/chat/infra/stores"
)

// Write is a view's writer function.
type Write func(ctx context.Context, batch []events.Event) error

// View is a store that a writer feeds from a stream.
type View struct {
	Name     string // like "messages"
	File     string // in the data folder
	Writer   string // the writer function's name
	Stream   string
	Consumer string // durable, of the source that feeds the writer

	open func(ctx context.Context, path string) (stores.View, Write, error)
}

// Open opens the view's file in a data folder, which is made where it is
// missing, and gives what writes it. Whoever opens a view closes it.
func (v View) Open(ctx context.Context, dir string) (stores.View, Write, error) {
	return v.OpenFile(ctx, filepath.Join(dir, v.File))
}

// OpenFile does the same with a file of any name.
func (v View) OpenFile(ctx context.Context, path string) (stores.View, Write, error) {
	return v.open(ctx, path)
}

// All are the views of the local platform.
func All() []View {
	return []View{
		{"messages", stores.MessagesFile, "messagewriter", events.StreamMessages, events.ConsumerMessages, func(ctx context.Context, path string) (stores.View, Write, error) {
			s, err := sqlite.OpenMessages(ctx, path)
			if err != nil {
				return nil, nil, err
			}
			return s, messagewriter.New(s).Handle, nil
		}},
		{"metadata", stores.MetadataFile, "metadatawriter", events.StreamMetadata, events.ConsumerMetadata, func(ctx context.Context, path string) (stores.View, Write, error) {
			s, err := sqlite.OpenMetadata(ctx, path)
			if err != nil {
				return nil, nil, err
			}
			return s, metadatawriter.New(s).Handle, nil
		}},
		{"search", stores.SearchFile, "searchwriter", events.StreamMessages, events.ConsumerSearch, func(ctx context.Context, path string) (stores.View, Write, error) {
			s, err := sqlite.OpenSearch(ctx, path)
			if err != nil {
				return nil, nil, err
			}
			return s, searchwriter.New(s).Handle, nil
		}},
	}
}
