package cutoff_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/cutoff"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

const waitLong, waitStep = 60 * time.Second, 5 * time.Millisecond

// ago and in are times as tokens have them.
func ago(d time.Duration) time.Time { return time.Now().Add(-d).Truncate(time.Second) }

func caller(user, session string) events.Caller {
	return events.Caller{User: events.UserID(user), Session: session, Issued: ago(time.Minute), Expires: time.Now().Add(5 * time.Minute)}
}

func ofUser(user string) events.UserCutOff {
	return events.UserCutOff{UserID: events.UserID(user), Reason: events.CutOffDisabled, NotBefore: time.Now(), Until: time.Now().Add(time.Hour)}
}

func ofSession(session string) events.UserCutOff {
	c := ofUser("")
	c.SessionID, c.Reason = session, events.CutOffSessionEnded
	return c
}

func publish(t testing.TB, log *natslog.Log, c events.UserCutOff, id string) {
	t.Helper()
	e, err := c.Event("/test", id)
	require.NoError(t, err)
	_, err = log.Publish(context.Background(), e)
	require.NoError(t, err)
}

// run runs a set until the test ends.
func run(t testing.TB, log cutoff.Log, cfg cutoff.Config) *cutoff.Set {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := cutoff.New(cfg)
	begin(t, s, log)
	return s
}

func begin(t testing.TB, s *cutoff.Set, log cutoff.Log) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx, log)
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// What the log held before the set began is known by the first check.
func TestTheFirstCheckKnowsAll(t *testing.T) {
	log := natstest.Open(t)
	for i := range 1200 { // more than one delivery
		publish(t, log, ofUser(fmt.Sprintf("user-%d", i)), fmt.Sprint(i))
	}
	publish(t, log, ofSession("s1"), "s1")
	over := ofUser("over")
	over.Until = time.Now().Add(-time.Second)
	publish(t, log, over, "over")
	s := run(t, log, cutoff.Config{Registerer: prometheus.NewRegistry()})
	for _, c := range []events.Caller{caller("user-0", ""), caller("user-1199", "x"), caller("bob", "s1")} {
		require.ErrorIs(t, s.Check(t.Context(), c), cutoff.ErrTokenRevoked)
	}
	require.ErrorIs(t, cutoff.ErrTokenRevoked, events.ErrUnauthenticated)
	for _, c := range []events.Caller{caller("bob", "s2"), caller("over", ""), caller("user-1200", "")} {
		require.NoError(t, s.Check(t.Context(), c))
	}
	fresh := caller("user-0", "")
	fresh.Issued = time.Now().Add(time.Second)
	require.NoError(t, s.Check(t.Context(), fresh), "a token from after the cut-off")
	require.NoError(t, s.Ready(t.Context()))
}

func TestCutOffsAsTheyCome(t *testing.T) {
	log := natstest.Open(t)
	s := cutoff.New(cutoff.Config{Logger: slog.New(slog.DiscardHandler)})
	watched := make(chan events.UserCutOff, 10)
	s.Watch(func(cs []events.UserCutOff) {
		for _, c := range cs {
			if c.SessionID == "s1" && s.Check(context.Background(), caller("bob", "s1")) == nil {
				t.Error("a watch runs before checks know")
			}
			watched <- c
		}
	})
	require.ErrorIs(t, s.Ready(t.Context()), events.ErrUnavailable)
	waiting := make(chan error, 1)
	go func() { waiting <- s.Check(t.Context(), caller("bob", "s1")) }()
	begin(t, s, log)
	require.NoError(t, <-waiting)

	verifier := s.Verifier(tokens{})
	publish(t, log, ofSession("s1"), "1")
	require.Equal(t, "s1", (<-watched).SessionID)
	_, err := verifier.Verify(t.Context(), "s1")
	require.ErrorIs(t, err, cutoff.ErrTokenRevoked)
	c, err := verifier.Verify(t.Context(), "s2")
	require.NoError(t, err)
	assert.Equal(t, events.UserID("bob"), c.User)
	_, err = verifier.Verify(t.Context(), "")
	require.ErrorIs(t, err, events.ErrUnauthenticated)

	// What cannot be read, or is of a later time, harms nobody.
	for i, e := range []events.Event{{Type: events.TypeUserCutOff, Data: []byte("7")}, {Type: "chat.user.cutoff.v9", Data: []byte("{}")}} {
		e.ID, e.Source, e.Subject = fmt.Sprint("bad", i), "/test", "cutoffs.user.bob"
		_, err := log.Publish(t.Context(), e)
		require.NoError(t, err)
	}
	importer := caller("ann", "s3")
	importer.Roles = []string{events.RoleImport}
	require.NoError(t, s.Check(t.Context(), importer))
	roles := ofUser("")
	roles.Everyone, roles.WithRoles, roles.Reason = true, true, events.CutOffRolesChanged
	publish(t, log, roles, "roles")
	require.True(t, (<-watched).WithRoles)
	require.ErrorIs(t, s.Check(t.Context(), importer), cutoff.ErrTokenRevoked)
	importer.Issued = time.Now().Add(time.Second)
	require.NoError(t, s.Check(t.Context(), importer), "a token from after it")
	_, err = verifier.Verify(t.Context(), "s2")
	require.NoError(t, err, "a token without a role")

	everyone := ofUser("")
	everyone.Everyone, everyone.Reason = true, "later"
	publish(t, log, everyone, "2")
	require.True(t, (<-watched).Everyone)
	_, err = verifier.Verify(t.Context(), "s2")
	require.ErrorIs(t, err, cutoff.ErrTokenRevoked)
}

// tokens takes a session for a token of bob's.
type tokens struct{}

func (tokens) Verify(_ context.Context, raw string) (events.Caller, error) {
	if raw == "" {
		return events.Caller{}, events.NewFault(events.ErrUnauthenticated, "token_missing", "", "none")
	}
	return caller("bob", raw), nil
}

func TestTokensThatOutliveCutOffs(t *testing.T) {
	s := run(t, natstest.Open(t), cutoff.Config{TokenMaxAge: 10 * time.Minute})
	for name, tt := range map[string]struct {
		issued, expires time.Time
		ok              bool
	}{
		"as long as may be":  {ago(time.Minute), ago(time.Minute).Add(10 * time.Minute), true},
		"longer":             {ago(time.Minute), ago(time.Minute).Add(10*time.Minute + time.Second), false},
		"for ever":           {ago(time.Minute), time.Time{}, false},
		"no telling, short":  {time.Time{}, time.Now().Add(5 * time.Minute), true},
		"no telling, longer": {time.Time{}, time.Now().Add(11 * time.Minute), false},
	} {
		err := s.Check(t.Context(), events.Caller{User: "bob", Issued: tt.issued, Expires: tt.expires})
		if tt.ok {
			require.NoError(t, err, name)
			continue
		}
		var fault *events.Fault
		require.ErrorAs(t, err, &fault, name)
		assert.Equal(t, "token_invalid", fault.Code, name)
	}
}

// broken is a log that cannot be followed, a few times.
type broken struct {
	*natslog.Log
	times int
}

func (b *broken) FollowSince(ctx context.Context, stream string, filters []string, since time.Time, ready func(uint64), f func([]events.Event) error) error {
	if b.times--; b.times >= 0 {
		return errors.New("another log")
	}
	return b.Log.FollowSince(ctx, stream, filters, since, ready, f)
}

func TestBeginsAnew(t *testing.T) {
	log := natstest.Open(t)
	publish(t, log, ofUser("ann"), "1")
	s := run(t, &broken{log, 2}, cutoff.Config{})
	require.ErrorIs(t, s.Check(t.Context(), caller("ann", "")), cutoff.ErrTokenRevoked)
}

func TestNotCompleteInTime(t *testing.T) {
	s := cutoff.New(cutoff.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Check(ctx, caller("ann", "")), events.ErrUnavailable)
}

func TestConfig(t *testing.T) {
	require.NoError(t, cutoff.Config{TokenMaxAge: time.Hour}.Validate())
	require.ErrorContains(t, cutoff.Config{TokenMaxAge: 48 * time.Hour}.Validate(), "TOKEN_MAX_AGE")
}

// A set that is full forgets sessions before users, and what is over before both.
func TestBounded(t *testing.T) {
	log := natstest.Open(t)
	reg := prometheus.NewRegistry()
	s := run(t, log, cutoff.Config{MaxEntries: 32, Registerer: reg})
	size := func(name string) float64 {
		families, err := reg.Gather()
		require.NoError(t, err)
		for _, f := range families {
			if f.GetName() == name && f.GetMetric()[0].GetGauge() != nil {
				return f.GetMetric()[0].GetGauge().GetValue()
			} else if f.GetName() == name {
				return f.GetMetric()[0].GetCounter().GetValue()
			}
		}
		return -1
	}
	publish(t, log, ofUser("ann"), "ann")
	for i := range 100 {
		publish(t, log, ofSession(fmt.Sprint("s", i)), fmt.Sprint(i))
	}
	publish(t, log, ofUser("zoe"), "zoe")
	require.Eventually(t, func() bool { return s.Check(t.Context(), caller("zoe", "")) != nil }, waitLong, waitStep)
	require.ErrorIs(t, s.Check(t.Context(), caller("ann", "")), cutoff.ErrTokenRevoked)
	assert.LessOrEqual(t, size("chat_cutoffs"), 32.0)
	assert.Positive(t, size("chat_cutoffs_forgotten_total"))
	for i := range 40 {
		publish(t, log, ofUser(fmt.Sprint("user", i)), fmt.Sprint("u", i))
	}
	publish(t, log, ofUser("last"), "last")
	require.Eventually(t, func() bool { return s.Check(t.Context(), caller("last", "")) != nil }, waitLong, waitStep)
	assert.LessOrEqual(t, size("chat_cutoffs"), 32.0)
}

func BenchmarkCheck(b *testing.B) {
	log := natstest.Open(b)
	for i := range 1000 {
		publish(b, log, ofUser(fmt.Sprint("user", i)), fmt.Sprint(i))
	}
	s := run(b, log, cutoff.Config{})
	c := caller("bob", "5c6e1cf6-0d6a-4c0e-8a34-0b8d6a3b1a55")
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Check(ctx, c); err != nil {
			b.Fatal(err)
		}
	}
}
