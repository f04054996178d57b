package mongodb_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/chat-platform/chat/infra/mongodb"
)

// Two states are compared field by field: the sequence has to be the first, and
// always of the same type.
func TestStatesBeginWithTheirSequence(t *testing.T) {
	for _, state := range mongodb.States() {
		raw, err := bson.Marshal(state)
		require.NoError(t, err)
		first, err := bson.Raw(raw).IndexErr(0)
		require.NoError(t, err)
		require.Equal(t, "seq", first.Key(), "%T", state)
		require.Equal(t, bson.TypeInt64, first.Value().Type, "%T", state)
	}
}
