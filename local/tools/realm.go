package tools

import (
	"context"
	"flag"

	"github.com/chat-platform/chat/infra/keycloak/realm"
	"github.com/chat-platform/chat/infra/process"
)

// Realm prints the realm file for Keycloak, with what the environment says put
// in: CHAT_URL, and the secrets if they are chosen here.
func Realm(_ context.Context, p *process.Process) error {
	fs := flag.NewFlagSet("realm", flag.ContinueOnError)
	development := fs.Bool("development", false, "with people, a client and secrets that everybody knows: for this machine only")
	if help, err := parse(p, fs); help || err != nil {
		return err
	}
	cfg := realm.Config{Development: *development}
	if err := p.Config(&cfg); err != nil {
		return err
	}
	b, err := realm.JSON(cfg)
	if err == nil {
		_, err = p.Stdout.Write(b)
	}
	return err
}
