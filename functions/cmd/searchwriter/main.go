// Command searchwriter is the function searchwriter in a process of its own.
package main

import (
	"context"

	"github.com/chat-platform/chat/functions/cmd/internal/start"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/writer/searchwriter"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/infra/stores/search"
)

func main() { process.Main("searchwriter", start.Writer(build)) }

func build(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
	search, err := start.Store(ctx, p, "search", search.Open)
	if err != nil {
		return nil, err
	}
	h := searchwriter.New(search)
	return frontdoor.Writer(searchwriter.Spec, h.Handle, append(p.Options, frontdoor.WithHooks(h))...), nil
}
