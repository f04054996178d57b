package storestest_test

import (
	"context"
	"testing"

	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/stores/messages"
	"github.com/chat-platform/chat/infra/stores/storestest"
)

func TestTheCheckItself(t *testing.T) {
	storestest.TestOpener(t, storestest.Opener{
		File: "messages.db", Variable: "STORE_MESSAGES",
		Open: func(ctx context.Context, store string, e stores.Embedded) (stores.View, error) {
			return messages.Open(ctx, messages.Config{Store: store, Embedded: e}, stores.Host{})
		},
		Read: func(ctx context.Context, store string, e stores.Embedded) (stores.Opened, error) {
			return messages.OpenReader(ctx, messages.Config{Store: store, Embedded: e}, stores.Host{})
		},
	})
}
