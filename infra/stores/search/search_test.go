package search_test

import (
	"context"
	"testing"

	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/stores/search"
	"github.com/chat-platform/chat/infra/stores/storestest"
)

func TestOpen(t *testing.T) {
	storestest.TestOpener(t, storestest.Opener{
		File: "search.db", Variable: "STORE_SEARCH",
		Open: func(ctx context.Context, store string, e stores.Embedded) (stores.View, error) {
			return search.Open(ctx, search.Config{Store: store, Embedded: e}, stores.Host{})
		},
		Read: func(ctx context.Context, store string, e stores.Embedded) (stores.Opened, error) {
			return search.OpenReader(ctx, search.Config{Store: store, Embedded: e}, stores.Host{})
		},
	})
}
