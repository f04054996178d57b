// Command listchannels is the function listchannels in a process of its own.
package main

import (
	"context"

	"github.com/chat-platform/chat/functions/cmd/internal/start"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/query/listchannels"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/infra/stores/metadata"
)

func main() { process.Main("listchannels", start.Command(build)) }

func build(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
	log, err := p.Log(ctx)
	if err != nil {
		return nil, err
	}
	metadata, err := start.Store(ctx, p, "metadata", metadata.OpenReader)
	if err != nil {
		return nil, err
	}
	h := listchannels.New(log, metadata)
	return frontdoor.Command(listchannels.Spec, h.Handle, append(p.Options, frontdoor.WithHooks(h))...), nil
}
