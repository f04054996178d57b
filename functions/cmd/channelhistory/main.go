// Command channelhistory is the function channelhistory in a process of its own.
package main

import (
	"context"

	"github.com/chat-platform/chat/functions/cmd/internal/start"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/functions/query/channelhistory"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/infra/stores/messages"
)

func main() { process.Main("channelhistory", start.Command(build)) }

func build(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
	log, err := p.Log(ctx)
	if err != nil {
		return nil, err
	}
	messages, err := start.Store(ctx, p, "messages", messages.OpenReader)
	if err != nil {
		return nil, err
	}
	pages, err := p.Pages(ctx)
	if err != nil {
		return nil, err
	}
	h := channelhistory.New(log, membership.New(log), messages, pages)
	return frontdoor.Command(channelhistory.Spec, h.Handle, append(p.Options, frontdoor.WithHooks(h))...), nil
}
