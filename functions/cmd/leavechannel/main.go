// Command leavechannel is the function leavechannel in a process of its own.
package main

import (
	"context"

	"github.com/chat-platform/chat/functions/cmd/internal/start"
	"github.com/chat-platform/chat/functions/command/leavechannel"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/infra/process"
)

func main() { process.Main("leavechannel", start.Command(build)) }

func build(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
	log, err := p.Log(ctx)
	if err != nil {
		return nil, err
	}
	h := leavechannel.New(log, membership.New(log))
	return frontdoor.Command(leavechannel.Spec, h.Handle, append(p.Options, frontdoor.WithHooks(h))...), nil
}
