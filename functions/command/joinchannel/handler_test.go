package joinchannel_test

import (
	"testing"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/command/joinchannel"
	"github.com/chat-platform/chat/functions/internal/fixtures"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/infra/nats"
)

func build(_ *testing.T, log *nats.Log, _ []events.Event) *frontdoor.Function {
	return frontdoor.Command(joinchannel.Spec, joinchannel.New(log).Handle, fixtures.Options()...)
}

func TestFixtures(t *testing.T) { fixtures.Run(t, build) }
