package sqlite_test

import (
	"testing"

	"github.com/chat-platform/chat/infra/storetest"
)

func BenchmarkMessages(b *testing.B) {
	storetest.BenchmarkMessages(b, func(b *testing.B) storetest.Messages { return openMessages(b) })
}

func BenchmarkMetadata(b *testing.B) {
	storetest.BenchmarkMetadata(b, func(b *testing.B) storetest.Metadata { return openMetadata(b) })
}

func BenchmarkSearch(b *testing.B) {
	storetest.BenchmarkSearch(b, func(b *testing.B) storetest.Search { return openSearch(b) })
}
