package platform

import (
	"context"
	"log/slog"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/cutoff"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/process"
)

// newCutOffs makes the set of those whose tokens are refused, which all front
// doors share.
func newCutOffs(cfg Config, p *process.Process) *cutoff.Set {
	c := cfg.CutOffs
	c.Logger, c.Registerer = p.Log, p.Registry
	set := cutoff.New(c)
	p.Ready("cut-offs", set.Ready)
	return set
}

// loggedOut puts what the development issuer tells into the log, as the watcher
// does for another issuer.
func loggedOut(log *natslog.Log, cfg cutoff.Config, l *slog.Logger) func(ctx context.Context, user, session string) {
	return func(ctx context.Context, user, session string) {
		now := time.Now().UTC()
		c := events.UserCutOff{UserID: events.UserID(user), SessionID: session, Reason: events.CutOffLoggedOut, NotBefore: now, Until: now.Add(cfg.TokenMaxAge)}
		e, err := c.Event("/dev/issuer", session)
		if err == nil {
			_, err = log.Publish(ctx, e)
		}
		if err != nil {
			l.Error("a logout did not reach the log: its tokens are good until they expire", "user", user, "error", err)
		}
	}
}
