// Command sendmessages is the function sendmessages in a process of its own.
package main

import (
	"context"

	"github.com/chat-platform/chat/functions/cmd/internal/start"
	"github.com/chat-platform/chat/functions/command/sendmessages"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/idempotency"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/infra/stores/messages"
)

func main() { process.Main("sendmessages", start.Command(build)) }

func build(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
	log, err := p.Log(ctx)
	if err != nil {
		return nil, err
	}
	sent, err := start.Lookup(ctx, p, messages.OpenReader)
	if err != nil {
		return nil, err
	}
	originals := idempotency.New(log, sent, log.DedupWindow()).Restored(log.Restored())
	h := sendmessages.New(log, membership.New(log), originals)
	return frontdoor.Command(sendmessages.Spec, h.Handle, append(p.Options, frontdoor.WithHooks(h))...), nil
}
