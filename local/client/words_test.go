package client_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/local/client"
)

func TestWordsOf(t *testing.T) {
	long := strings.Repeat("abcdefghi ", 30)
	for text, want := range map[string]string{
		"":                        "",
		"?! 😀":                    "",
		"see: apt-get  install x": "see apt get install x",
		"größer als 3":            "größer als 3",
		long:                      strings.TrimSpace(long[:200]),
	} {
		require.Equal(t, want, client.WordsOf(text))
	}
}
