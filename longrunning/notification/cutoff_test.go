package notification_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/notification"
)

// cutOffs is a set that the test fills.
type cutOffs struct {
	mu      sync.Mutex
	refused map[events.UserID]bool
	watch   func([]events.UserCutOff)
}

func (c *cutOffs) Check(_ context.Context, caller events.Caller) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused[caller.User] {
		return events.NewFault(events.ErrUnauthenticated, "token_revoked", "", "revoked")
	}
	return nil
}

func (c *cutOffs) Watch(f func([]events.UserCutOff)) { c.watch = f }

func (c *cutOffs) refuse(user events.UserID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused[user] = true
}

func ofUser(user string, reason events.CutOffReason) events.UserCutOff {
	return events.UserCutOff{UserID: events.UserID(user), Reason: reason, NotBefore: time.Now(), Until: time.Now().Add(time.Hour)}
}

func TestCutOffClosesTheSockets(t *testing.T) {
	log := natstest.Open(t)
	startRealFanout(t, log)
	set := &cutOffs{refused: map[events.UserID]bool{}}
	i := startInstance(t, log, notification.Config{CutOffs: set})
	greeting := dial(t, i)
	ann, _ := identify(t, i, "ann#phone")
	annToo, _ := identify(t, i, "ann#laptop")
	bob, _ := identify(t, i, "bob#b")
	eve, _ := identify(t, i, "eve#e")

	session := ofUser("ann", events.CutOffLoggedOut)
	session.SessionID = "phone"
	set.watch([]events.UserCutOff{session})
	code, reason := ann.closed()
	assert.Equal(t, 4502, code)
	assert.Equal(t, "logged_out", reason)

	// Another session of hers, and everybody else, go on.
	for _, c := range []*client{annToo, bob, eve} {
		c.say("heartbeat")
		require.Equal(t, "heartbeat_ack", c.next().Op)
	}

	// Who loses a role gets a new token; who is disabled besides is out.
	set.watch([]events.UserCutOff{ofUser("bob", events.CutOffRolesChanged), ofUser("eve", events.CutOffRolesChanged), ofUser("eve", events.CutOffDisabled)})
	code, _ = bob.closed()
	assert.Equal(t, 4004, code)
	code, reason = eve.closed()
	assert.Equal(t, 4502, code)
	assert.Equal(t, "disabled", reason)

	everyone := ofUser("", events.CutOffLoggedOut)
	everyone.Everyone = true
	set.watch([]events.UserCutOff{everyone})
	code, _ = annToo.closed()
	assert.Equal(t, 4502, code)

	// Nobody in particular yet: it may still identify, but not as one cut off.
	set.refuse("ann")
	greeting.say("identify", "token", "ann#new")
	code, reason = greeting.closed()
	assert.Equal(t, 4501, code)
	assert.Equal(t, "token_revoked", reason)
}

// A token from after the cut-off keeps the session that reauthenticates in time.
func TestCutOffAndReauthenticate(t *testing.T) {
	log := natstest.Open(t)
	startRealFanout(t, log)
	set := &cutOffs{refused: map[events.UserID]bool{}}
	i := startInstance(t, log, notification.Config{CutOffs: set})
	ann, _ := identify(t, i, "ann#old")
	ann.say("reauthenticate", "token", "ann#new")
	ann.say("heartbeat")
	require.Equal(t, "heartbeat_ack", ann.next().Op)
	old := ofUser("ann", events.CutOffSessionEnded)
	old.SessionID = "old"
	set.watch([]events.UserCutOff{old})
	ann.say("heartbeat")
	require.Equal(t, "heartbeat_ack", ann.next().Op)

	set.refuse("ann")
	ann.say("reauthenticate", "token", "ann#newer")
	code, reason := ann.closed()
	assert.Equal(t, 4501, code)
	assert.Equal(t, "token_revoked", reason)
}
