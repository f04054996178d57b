// Command metadatawriter is the function metadatawriter in a process of its own.
package main

import (
	"context"

	"github.com/chat-platform/chat/functions/cmd/internal/start"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/writer/metadatawriter"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/infra/stores/metadata"
)

func main() { process.Main("metadatawriter", start.Writer(build)) }

func build(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
	metadata, err := start.Store(ctx, p, "metadata", metadata.Open)
	if err != nil {
		return nil, err
	}
	h := metadatawriter.New(metadata)
	return frontdoor.Writer(metadatawriter.Spec, h.Handle, append(p.Options, frontdoor.WithHooks(h))...), nil
}
