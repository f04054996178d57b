// Package views lists the views of the log: for each the stream and the durable
// consumer that it follows, the store that holds it and the writer function that
// feeds it. Tools that fill a store go the same way as the service does, through
// the writer; so does [Expected], which tells from the log alone what a view has
// to hold.
package views

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/writer/messagewriter"
	"github.com/chat-platform/chat/functions/writer/metadatawriter"
	"github.com/chat-platform/chat/functions/writer/searchwriter"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/stores/messages"
	"github.com/chat-platform/chat/infra/stores/metadata"
	"github.com/chat-platform/chat/infra/stores/search"
)

// Config says which stores hold the views.
type Config struct {
	Messages messages.Config
	Metadata metadata.Config
	Search   search.Config
}

// Validate says which variables cannot be.
func (c Config) Validate() error {
	return errors.Join(c.Messages.Validate(), c.Metadata.Validate(), c.Search.Validate())
}

// Embedded is the configuration of the embedded stores in a data folder.
func Embedded(dir string) Config { return Config{}.In(dir) }

// In is the same configuration with another data folder for embedded stores.
func (c Config) In(dir string) Config {
	c.Messages.Dir, c.Metadata.Dir, c.Search.Dir = dir, dir, dir
	return c
}

// Write is a view's writer function.
type Write func(ctx context.Context, batch []events.Event) error

// View is a store that a writer feeds from a stream.
type View struct {
	stores.Feed        // its name, stream and consumer
	File        string // of the embedded store's first generation, in the data folder
	Writer      string // the writer function's name

	open   func(ctx context.Context, c Config, h stores.Host, generation int) (stores.View, error)
	writer func(store any) Write
}

// Generation opens a generation of the view, which is made where it is missing,
// and gives what writes it. Whoever opens it closes it.
func (v View) Generation(ctx context.Context, c Config, h stores.Host, generation int) (stores.View, Write, error) {
	store, err := v.open(ctx, c, h, generation)
	if err != nil {
		return nil, nil, err
	}
	return store, v.writer(store), nil
}

// Open opens the first generation of the embedded store in a data folder.
func (v View) Open(ctx context.Context, dir string) (stores.View, Write, error) {
	return v.Generation(ctx, Embedded(dir), stores.Host{}, 1)
}

// Writing is the view's writer function on a store of that view.
func (v View) Writing(store stores.View) Write { return v.writer(store) }

// All are the views of the platform.
func All() []View {
	return []View{
		{messages.Feed, stores.MessagesFile, "messagewriter",
			func(ctx context.Context, c Config, h stores.Host, generation int) (stores.View, error) {
				return messages.OpenGeneration(ctx, c.Messages, h, generation)
			},
			func(s any) Write { return messagewriter.New(s.(messagewriter.Store)).Handle }},
		{metadata.Feed, stores.MetadataFile, "metadatawriter",
			func(ctx context.Context, c Config, h stores.Host, generation int) (stores.View, error) {
				return metadata.OpenGeneration(ctx, c.Metadata, h, generation)
			},
			func(s any) Write { return metadatawriter.New(s.(metadatawriter.Store)).Handle }},
		{search.Feed, stores.SearchFile, "searchwriter",
			func(ctx context.Context, c Config, h stores.Host, generation int) (stores.View, error) {
				return search.OpenGeneration(ctx, c.Search, h, generation)
			},
			func(s any) Write { return searchwriter.New(s.(searchwriter.Store)).Handle }},
	}
}

// Named gives the view of a name, or all of them for "all".
func Named(name string) ([]View, error) {
	all := All()
	if name == "all" {
		return all, nil
	}
	if i := slices.IndexFunc(all, func(v View) bool { return v.Name == name }); i >= 0 {
		return all[i : i+1], nil
	}
	var names []string
	for _, v := range all {
		names = append(names, v.Name)
	}
	return nil, events.Invalid("unknown_view", "view", "%q is none of %s, all", name, strings.Join(names, ", "))
}
