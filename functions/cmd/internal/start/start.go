// Package start is what the mains of functions have in common: it builds one
// function, serves it alone on PORT, and takes everything down again in the
// opposite order. The log's address, the issuer of tokens and the rest come from
// the environment; what a function does not ask for is neither needed nor
// opened. Commands and queries always follow the log's cut-offs, and serve once
// they know them all.
//
//	NATS_URL, NATS_…, DEDUP_WINDOW   the log, see infra/nats.Config (where it or a store is used)
//	OIDC_ISSUER, OIDC_…              whose tokens are taken, see infra/oidc.Config (not for writers)
//	TOKEN_MAX_AGE                    the longest life of a token, see infra/cutoff.Config (not for writers)
//	RATE_LIMIT_…                     how often a user may do what, see infra/ratelimit.Limits and Defaults (not for writers)
//	REDIS_URL, REDIS_…               where all processes count together, see infra/redis.Config; each by itself without
//	CACHE_BYTES, CACHE_TTL           what is kept of hot channels, in the process and in Redis if it has a URL (channelhistory)
//	CORS_ORIGINS                     pages that may call, separated by commas; none by default
//	STORE_…, DATA_DIR, MONGODB_…     which store serves and where it is, see infra/stores/… (where one is used)
//	PORT, LISTEN_ADDRESS, DRAIN_…    see infra/process
//
// A function depends on its log and its store, in readiness too, and a command on
// its log alone (see [Lookup]). What is away at the start is waited for: the process
// listens, is not ready, and answers 503 ([process.Await], and [stores.Switch] for
// stores). Settings that cannot be end it at once.
//
// A main hands [Store] or [Lookup] the function that opens its store, so that functions
// without one do not carry a driver.
package start

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/hot"
	"github.com/chat-platform/chat/infra/cutoff"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/oidc"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/infra/ratelimit"
	"github.com/chat-platform/chat/infra/redis"
	"github.com/chat-platform/chat/infra/stores"
)

// closeTimeout bounds the end of the function's hooks.
const closeTimeout = 5 * time.Second

// Parts is what a function is built of.
type Parts struct {
	*process.Process
	Options []frontdoor.Option // to serve it with: logger, metrics, verifier

	log     *nats.Log // once it was asked for
	closers []func() error
}

// Build makes the function.
type Build func(ctx context.Context, p *Parts) (*frontdoor.Function, error)

// Command runs a command or a query: callers need a token of the issuer.
func Command(build Build) func(context.Context, *process.Process) error {
	return func(ctx context.Context, p *process.Process) error {
		var cfg oidc.Config
		revoked := cutoff.Config{Logger: p.Log, Registerer: p.Registry}
		if err := errors.Join(p.Config(&cfg), p.Config(&revoked)); err != nil {
			return err
		}
		cutOffs := cutoff.New(revoked)
		limiter, closing, err := openLimiter(ctx, p)
		if err != nil {
			return err
		}
		err = run(ctx, p, build, cutOffs, frontdoor.WithVerifier(cutOffs.Verifier(oidc.New(cfg))), frontdoor.WithLimiter(limiter))
		return errors.Join(err, closing())
	}
}

// openLimiter makes what keeps rate limits. The function does not depend on it:
// it is ready without Redis.
func openLimiter(ctx context.Context, p *process.Process) (*ratelimit.Limiter, func() error, error) {
	limits := ratelimit.Defaults()
	if err := p.Config(&limits); err != nil {
		return nil, nil, err
	}
	var cfg redis.Config
	if err := p.Config(&cfg); err != nil {
		return nil, nil, err
	}
	cfg.Name, cfg.Logger, cfg.Registerer = p.Name, p.Log, p.Registry
	return redis.OpenLimiter(ctx, limits, cfg)
}

// Writer runs a writer, which asks for no token and is not for the public.
func Writer(build Build) func(context.Context, *process.Process) error {
	return func(ctx context.Context, p *process.Process) error { return run(ctx, p, build, nil) }
}

func run(ctx context.Context, p *process.Process, build Build, cutOffs *cutoff.Set, opts ...frontdoor.Option) (err error) {
	var cfg struct {
		Origins []string `env:"CORS_ORIGINS"`
	}
	if err := p.Config(&cfg); err != nil {
		return err
	}
	opts = append(opts, frontdoor.WithLogger(p.Log), frontdoor.WithRegisterer(p.Registry), frontdoor.WithOrigins(cfg.Origins...))
	parts := &Parts{Process: p, Options: opts}
	defer func() { err = errors.Join(err, parts.close()) }()

	f, err := build(ctx, parts)
	if err != nil {
		return err
	}
	if cutOffs != nil {
		unfollow, err := parts.follow(ctx, cutOffs)
		if err != nil {
			return err
		}
		defer unfollow()
	}
	if err := f.Start(ctx, p.Environ()); err != nil {
		return err
	}
	err = p.Serve(ctx, f.Alone())
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return errors.Join(err, f.Stop(stop))
}

// follow tells cut-offs what the log says of them, and returns once they are
// complete.
func (p *Parts) follow(ctx context.Context, cutOffs *cutoff.Set) (end func(), err error) {
	log, err := p.Log(ctx)
	if err != nil {
		return nil, err
	}
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		cutOffs.Run(inner, log)
	}()
	_, err = process.Await(ctx, p.Process, "cut-offs", func(ctx context.Context) (struct{}, error) {
		cutOffs.Wait(ctx)
		return struct{}{}, ctx.Err()
	})
	end = func() { cancel(); <-done }
	if err != nil {
		end()
	}
	return end, err
}

// Log opens the log, once. The function is not ready while it cannot be reached.
func (p *Parts) Log(ctx context.Context) (*nats.Log, error) {
	if p.log != nil {
		return p.log, nil
	}
	var cfg nats.Config
	if err := p.Config(&cfg); err != nil {
		return nil, err
	}
	if cfg.Name == "" {
		cfg.Name = p.Name
	}
	cfg.Logger, cfg.Registerer = p.Process.Log, p.Registry
	log, err := process.Await(ctx, p.Process, "log", func(ctx context.Context) (*nats.Log, error) { return nats.Open(ctx, cfg) })
	if err != nil {
		return nil, err
	}
	p.log = log
	p.Uses("log", log.Ping, log.Close)
	return log, nil
}

// Pages makes what keeps the latest pages of busy channels. The function does not
// depend on it: it is ready without Redis.
func (p *Parts) Pages(ctx context.Context) (*hot.Pages, error) {
	var cfg hot.Config
	var server redis.Config
	if err := errors.Join(p.Config(&cfg), p.Config(&server)); err != nil {
		return nil, err
	}
	if server.URL == "" {
		return hot.New(cfg, nil, p.Registry), nil
	}
	server.Name, server.Logger, server.Registerer = p.Name, p.Process.Log, p.Registry
	shared, err := redis.OpenCache(ctx, server, cfg.TTL)
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, shared.Close)
	return hot.New(cfg, shared, p.Registry), nil
}

// Store opens a store as its configuration says; the log says which generation
// of it is live. The function is not ready while it cannot be reached, or is of
// another log.
func Store[C any, S stores.Opened](ctx context.Context, p *Parts, name string, open func(context.Context, C, stores.Host) (S, error)) (s S, err error) {
	if s, err = openStore(ctx, p, name, 0, open); err == nil {
		p.Uses(name, s.Ping, s.Close)
	}
	return s, err
}

// lookupWait is how long a start waits for a store that it can do without.
const lookupWait = 2 * time.Second

// Lookup opens the message view for a command that looks there for what was sent
// before, and works without it but for that. Readiness tells of it and does not
// depend on it: a view's outage keeps no message from being sent.
func Lookup[C any, S stores.Opened](ctx context.Context, p *Parts, open func(context.Context, C, stores.Host) (S, error)) (s S, err error) {
	if s, err = openStore(ctx, p, "messages", lookupWait, open); err == nil {
		p.Tells("messages", s.Ping)
		p.closes("messages", s.Close)
	}
	return s, err
}

func openStore[C any, S stores.Opened](ctx context.Context, p *Parts, name string, wait time.Duration, open func(context.Context, C, stores.Host) (S, error)) (s S, err error) {
	var cfg C
	if err := p.Config(&cfg); err != nil {
		return s, err
	}
	log, err := p.Log(ctx)
	if err != nil {
		return s, err
	}
	host := stores.Host{Name: p.Name, Log: p.Process.Log, Registerer: p.Registry, Views: log, OpenWait: wait}
	s, err = process.Await(ctx, p.Process, name, func(ctx context.Context) (S, error) { return open(ctx, cfg, host) })
	if err != nil {
		return s, fmt.Errorf("open %s: %w", name, err)
	}
	return s, nil
}

// Uses tells what the function depends on: how to see whether it works, and how
// to close it at the end.
func (p *Parts) Uses(name string, ping process.Check, closing func() error) {
	p.Ready(name, ping)
	p.closes(name, closing)
}

func (p *Parts) closes(name string, closing func() error) {
	p.closers = append(p.closers, func() error {
		if err := closing(); err != nil {
			return fmt.Errorf("close %s: %w", name, err)
		}
		return nil
	})
}

func (p *Parts) close() error {
	var errs []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		errs = append(errs, p.closers[i]())
	}
	return errors.Join(errs...)
}
