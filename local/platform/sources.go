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
var bindings = []struct {
	writer string
	source.Config
}{
	{"messagewriter", source.Config{Stream: events.StreamMessages, Consumer: events.ConsumerMessages}},
	// An index may answer no sooner than its next refresh, half a second later.
	{"searchwriter", source.Config{Stream: events.StreamMessages, Consumer: events.ConsumerSearch, Order: source.OrderNone, InFlight: 16, MaxPending: 10_000}},
	{"metadatawriter", source.Config{Stream: events.StreamMetadata, Consumer: events.ConsumerMetadata}},
}

// sources feed the writers, by consumer.
type sources map[string]*source.Source

func newSources(log *natslog.Log, p *process.Process, writers string) (sources, error) {
	all := sources{}
	for _, b := range bindings {
		b.Sink = writers + "/functions/" + b.writer
		s, err := source.New(log, b.Config, source.Options{Logger: p.Log, Registerer: p.Registry})
		if err != nil {
			return nil, fmt.Errorf("source of %s: %w", b.writer, err)
		}
		all[b.Consumer] = s
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
