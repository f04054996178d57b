package platform

import (
	"context"
	"log/slog"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/cutoff"
	"github.com/chat-platform/chat/infra/keycloak/admin"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/longrunning/identity"
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

// newWatcher makes the watcher of the issuer, or none where there is no issuer to
// watch.
func newWatcher(cfg Config, p *process.Process, log *natslog.Log) (*identity.Watcher, error) {
	if cfg.Issuer == "" || cfg.Keycloak.Secret == "" {
		return nil, nil //nolint:nilnil // none is no fault
	}
	issuer, err := admin.New(cfg.Keycloak)
	if err != nil {
		return nil, err
	}
	c := cfg.Identity
	c.Logger, c.Registerer = p.Log, p.Registry
	return identity.New(log, issuer, c), nil
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
