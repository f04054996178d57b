package events_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
)

func assertFault(t *testing.T, err error, code string) {
	t.Helper()
	var f *events.Fault
	require.ErrorAs(t, err, &f)
	assert.Equal(t, code, f.Code)
	assert.NotEmpty(t, f.Error())
}

func TestFaultsKeepTheirKindThroughWrapping(t *testing.T) {
	for _, tt := range []struct {
		fault *events.Fault
		kind  error
	}{
		{events.ErrEmptyMessage, events.ErrInvalid},
		{events.ErrMessageTooLong, events.ErrInvalid},
		{events.ErrMissingChannelID, events.ErrInvalid},
		{events.ErrMissingUserID, events.ErrInvalid},
		{events.ErrNotMember, events.ErrForbidden},
		{events.ErrChannelNotFound, events.ErrNotFound},
		{events.NewFault(events.ErrConflict, "c", "f", "detail %d", 7), events.ErrConflict},
	} {
		wrapped := fmt.Errorf("send to ch_x: %w", tt.fault)
		assert.ErrorIs(t, wrapped, tt.fault)
		assert.ErrorIs(t, wrapped, tt.kind)
		assertFault(t, wrapped, tt.fault.Code)
	}
}

func TestFaultsStandForTheFirst(t *testing.T) {
	one := events.Faults{{Index: 3, Fault: events.ErrEmptyMessage}}
	two := append(one, events.ItemFault{Index: 5, Fault: events.ErrNotMember})
	assert.Equal(t, events.ErrEmptyMessage.Detail, one.Error())
	assert.Contains(t, two.Error(), "1 more")
	assert.ErrorIs(t, two, events.ErrInvalid)
	var fs events.Faults
	require.ErrorAs(t, fmt.Errorf("batch: %w", two), &fs)
	assert.Equal(t, 5, fs[1].Index)
}

func TestPermanent(t *testing.T) {
	assert.NoError(t, events.Permanent(nil))
	base := errors.New("disk is a toaster")
	err := fmt.Errorf("write: %w", events.Permanent(base))
	assert.True(t, events.IsPermanent(err))
	assert.ErrorIs(t, err, base)
	assert.False(t, events.IsPermanent(base))
	assert.False(t, events.IsPermanent(nil))
	assert.True(t, events.IsPermanent(events.ErrEmptyMessage), "what is invalid stays so")
}
