// Command messagewriter is the function messagewriter in a process of its own.
package main

import (
	"context"

	"github.com/chat-platform/chat/functions/cmd/internal/start"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/writer/messagewriter"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/infra/stores/messages"
)

func main() { process.Main("messagewriter", start.Writer(build)) }

func build(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
	messages, err := start.Store(ctx, p, "messages", messages.Open)
	if err != nil {
		return nil, err
	}
	h := messagewriter.New(messages)
	return frontdoor.Writer(messagewriter.Spec, h.Handle, append(p.Options, frontdoor.WithHooks(h))...), nil
}
