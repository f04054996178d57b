package platform

import (
	"fmt"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/local/deadletters"
	"github.com/chat-platform/chat/longrunning/source"
)

// bindings say which writer is fed from where.
var bindings = []struct{ stream, consumer, writer string }{
	{events.StreamMessages, events.ConsumerMessages, "messagewriter"},
	{events.StreamMessages, events.ConsumerSearch, "searchwriter"},
	{events.StreamMetadata, events.ConsumerMetadata, "metadatawriter"},
}

// sources feed the writers, by consumer.
type sources map[string]*source.Source

func newSources(log *natslog.Log, p *process.Process, writers string) (sources, error) {
	all := sources{}
	for _, b := range bindings {
		s, err := source.New(log, source.Config{Stream: b.stream, Consumer: b.consumer, Sink: writers + "/functions/" + b.writer},
			source.Options{Logger: p.Log, Registerer: p.Registry})
		if err != nil {
			return nil, fmt.Errorf("source of %s: %w", b.writer, err)
		}
		all[b.consumer] = s
	}
	return all, nil
}

// redriver is the source that a dead letter came from.
func (s sources) redriver(l natslog.DeadLetter) (deadletters.Redriver, error) {
	if one, ok := s[l.Consumer]; ok {
		return one, nil
	}
	return nil, events.Invalid("unknown_consumer", "consumer", "the platform has no consumer %q", l.Consumer)
}
