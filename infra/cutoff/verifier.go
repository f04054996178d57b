package cutoff

import (
	"context"

	"github.com/chat-platform/chat/events"
)

// Tokens tells who a bearer token belongs to.
type Tokens interface {
	Verify(ctx context.Context, rawToken string) (events.Caller, error)
}

// Verifier is another verifier that refuses tokens that were cut off.
type Verifier struct {
	tokens Tokens
	set    *Set
}

// Verifier puts the set behind a verifier.
func (s *Set) Verifier(tokens Tokens) *Verifier { return &Verifier{tokens, s} }

// Verify is the other verifier's, and then [Set.Check].
func (v *Verifier) Verify(ctx context.Context, rawToken string) (events.Caller, error) {
	caller, err := v.tokens.Verify(ctx, rawToken)
	if err == nil {
		err = v.set.Check(ctx, caller)
	}
	if err != nil {
		return events.Caller{}, err
	}
	return caller, nil
}
