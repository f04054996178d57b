// Command searchmessages is the function searchmessages in a process of its own.
package main

import (
	"context"

	"github.com/chat-platform/chat/functions/cmd/internal/start"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/functions/query/searchmessages"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/infra/stores/metadata"
	"github.com/chat-platform/chat/infra/stores/search"
)

func main() { process.Main("searchmessages", start.Command(build)) }

func build(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
	log, err := p.Log(ctx)
	if err != nil {
		return nil, err
	}
	metadata, err := start.Store(ctx, p, "metadata", metadata.OpenReader)
	if err != nil {
		return nil, err
	}
	search, err := start.Store(ctx, p, "search", search.OpenReader)
	if err != nil {
		return nil, err
	}
	h := searchmessages.New(log, membership.New(log), metadata, search)
	return frontdoor.Command(searchmessages.Spec, h.Handle, append(p.Options, frontdoor.WithHooks(h))...), nil
}
