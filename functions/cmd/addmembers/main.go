// Command addmembers is the function addmembers in a process of its own.
package main

import (
	"context"

	"github.com/chat-platform/chat/functions/cmd/internal/start"
	"github.com/chat-platform/chat/functions/command/addmembers"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/infra/process"
)

func main() { process.Main("addmembers", start.Command(build)) }

func build(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
	log, err := p.Log(ctx)
	if err != nil {
		return nil, err
	}
	h := addmembers.New(log, membership.New(log))
	return frontdoor.Command(addmembers.Spec, h.Handle, append(p.Options, frontdoor.WithHooks(h))...), nil
}
