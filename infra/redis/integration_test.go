//go:build integration

package redis_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	driver "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/ratelimit"
	"github.com/chat-platform/chat/infra/ratelimit/ratelimittest"
	"github.com/chat-platform/chat/infra/redis"
	"github.com/chat-platform/chat/infra/servertest"
	"github.com/chat-platform/chat/infra/storetest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func config(tb testing.TB) redis.Config {
	tb.Helper()
	return redis.Config{URL: servertest.Redis(tb), Prefix: servertest.Name(tb) + ":"}
}

func client(tb testing.TB, address string) *driver.Client {
	tb.Helper()
	o, err := driver.ParseURL(address)
	require.NoError(tb, err)
	c := driver.NewClient(o)
	tb.Cleanup(func() { require.NoError(tb, c.Close()) })
	return c
}

func TestSuite(t *testing.T) {
	ratelimittest.Run(t, func(t *testing.T) ratelimit.Buckets {
		t.Helper()
		s := open(t, config(t))
		t.Cleanup(func() { require.False(t, s.Degraded(), "it was Redis that was tested") })
		return s
	})
}

// Many processes, one quota.
func TestProcessesCountTogether(t *testing.T) {
	cfg := config(t)
	rate := ratelimit.Rate{Count: 1, Per: time.Hour, Burst: 100}
	var allowed atomic.Int64
	var processes sync.WaitGroup
	for range 4 {
		s := open(t, cfg)
		for range 4 {
			processes.Go(func() {
				for range 20 {
					a, err := s.Take(t.Context(), alice, rate, 1)
					assert.NoError(t, err)
					if a.Allowed {
						allowed.Add(1)
					}
				}
			})
		}
	}
	processes.Wait()
	require.EqualValues(t, 100, allowed.Load())
}

// A bucket goes when it says nothing any more.
func TestBucketsExpire(t *testing.T) {
	cfg := config(t)
	s, c := open(t, cfg), client(t, cfg.URL)
	rate := ratelimit.Rate{Count: 10, Per: time.Second, Burst: 10}
	_, err := s.Take(t.Context(), alice, rate, 3)
	require.NoError(t, err)
	key := cfg.Prefix + "limit:send:alice"
	ttl, err := c.PTTL(t.Context(), key).Result()
	require.NoError(t, err)
	require.LessOrEqual(t, ttl, 300*time.Millisecond)
	eventually(t, func() bool { return c.Exists(t.Context(), key).Val() == 0 })
}

// A server that was restarted, or whose scripts were flushed, gets the script
// again.
func TestTheScriptIsBroughtAgain(t *testing.T) {
	cfg := config(t)
	s := open(t, cfg)
	require.Equal(t, 9, remaining(t, s))
	require.NoError(t, client(t, cfg.URL).ScriptFlush(t.Context()).Err())
	require.Equal(t, 8, remaining(t, s))
	require.False(t, s.Degraded())
}

// Redis is killed under traffic and comes back: every call is judged, quickly,
// and when it is back, processes count together again.
func TestKilledUnderTraffic(t *testing.T) {
	srv := servertest.Start(t, servertest.ProductRedis)
	cfg := redis.Config{URL: srv.Address(), Timeout: 500 * time.Millisecond}
	stores := []*redis.Store{open(t, cfg), open(t, cfg)}
	rate := ratelimit.Rate{Count: 1000, Per: time.Second, Burst: 1000}
	ctx, stop := context.WithCancel(t.Context())
	var calls atomic.Int64
	var traffic sync.WaitGroup
	for i := range 16 {
		s := stores[i%2]
		traffic.Go(func() {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				_, err := s.Take(t.Context(), ratelimit.Key{Limit: "send", User: alice.User}, rate, 1)
				assert.NoError(t, err)
				calls.Add(1)
			}
		})
	}
	defer traffic.Wait()
	defer stop()
	goOn := func() {
		t.Helper()
		at := calls.Load()
		eventually(t, func() bool { return calls.Load() > at+500 })
	}
	degraded := func(want bool) func() bool {
		return func() bool { return stores[0].Degraded() == want && stores[1].Degraded() == want }
	}
	goOn()
	for range 2 {
		srv.Kill(t)
		eventually(t, degraded(true))
		goOn()
		for _, s := range stores { // limits hold, in each process
			a, err := s.Take(t.Context(), ratelimit.Key{Limit: "send", User: "bob"}, slow, 10)
			require.NoError(t, err)
			a2, err := s.Take(t.Context(), ratelimit.Key{Limit: "send", User: "bob"}, slow, 1)
			require.NoError(t, err)
			require.False(t, a2.Allowed, "%v", a)
		}
		srv.Restart(t)
		eventually(t, degraded(false))
		goOn()
	}
	carol := ratelimit.Key{Limit: "send", User: "carol"}
	eventually(t, func() bool { // a call or two on the way back may be the process's own
		a, err := stores[0].Take(t.Context(), carol, slow, 1)
		require.NoError(t, err)
		b, err := stores[1].Take(t.Context(), carol, slow, 1)
		require.NoError(t, err)
		return b.Remaining == a.Remaining-1 && b.Allowed
	})
}

// A server that takes connections and never answers costs a call its time limit
// a few times, then nothing.
func TestASilentServer(t *testing.T) {
	cfg := config(t)
	u, err := url.Parse(cfg.URL)
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	var silent atomic.Bool
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", u.Host)
			if err != nil {
				_ = in.Close()
				return
			}
			pass := func(to, from net.Conn) {
				defer to.Close()
				b := make([]byte, 1024)
				for {
					n, err := from.Read(b)
					if err != nil {
						return
					}
					if !silent.Load() {
						_, _ = to.Write(b[:n])
					}
				}
			}
			go pass(in, out)
			go pass(out, in)
		}
	}()
	cfg.URL, cfg.Timeout = "redis://"+ln.Addr().String(), 300*time.Millisecond
	s := open(t, cfg)
	eventually(t, func() bool { return !s.Degraded() })
	silent.Store(true)
	for range 100 { // were each to wait, that would be half a minute
		remaining(t, s)
	}
	require.True(t, s.Degraded())
	silent.Store(false)
	eventually(t, func() bool { return !s.Degraded() })
}

// TLS ends at a proxy here, since the image's Redis has no certificate.
func TestTLS(t *testing.T) {
	cfg := config(t)
	u, err := url.Parse(cfg.URL)
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	pool := x509.NewCertPool()
	ca, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool.AddCert(ca)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	})
	require.NoError(t, err)
	defer ln.Close()
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", u.Host)
			if err != nil {
				_ = in.Close()
				return
			}
			pass := func(to, from net.Conn) { _, _ = io.Copy(to, from); _ = to.Close() }
			go pass(in, out)
			go pass(out, in)
		}
	}()
	cfg.URL = "rediss://" + ln.Addr().String()
	stranger := open(t, cfg)
	require.True(t, stranger.Degraded(), "whoever knows no certificate trusts nobody")
	cfg.CA, cfg.Cert, cfg.Key = certFile, certFile, keyFile
	s := open(t, cfg)
	require.False(t, s.Degraded())
	require.Equal(t, 9, remaining(t, s))
}

// BenchmarkAgainstDriver compares limits and pages with the same scripts by the
// bare driver.
func BenchmarkAgainstDriver(b *testing.B) {
	cfg := config(b)
	cfg.Timeout, cfg.PoolSize = 10*time.Second, 64
	s, c := open(b, cfg), openCache(b, cfg)
	o, err := driver.ParseURL(cfg.URL)
	require.NoError(b, err)
	o.PoolSize, o.MaxRetries, o.ContextTimeoutEnabled, o.ReadTimeout = 64, -1, true, 10*time.Second
	bare := driver.NewClient(o)
	defer bare.Close()
	script := func(file string) *driver.Script {
		source, err := os.ReadFile(file)
		require.NoError(b, err)
		return driver.NewScript(string(source))
	}
	take, get := script("take.lua"), script("get.lua")
	var users []events.UserID
	for i := range 1000 {
		users = append(users, events.UserID(fmt.Sprintf("user%04d", i)))
	}
	var calls atomic.Int64
	user := func() events.UserID { return users[int(calls.Add(1))%len(users)] }
	rate := ratelimit.Rate{Count: 1_000_000, Per: time.Second, Burst: 1_000_000}
	for _, side := range []struct {
		name       string
		ours, bare storetest.Call
	}{
		{"limit", func(ctx context.Context, _ int) error {
			_, err := s.Take(ctx, ratelimit.Key{Limit: "send", User: user()}, rate, 1)
			return err
		}, func(ctx context.Context, _ int) error {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			return take.Run(ctx, bare, []string{cfg.Prefix + string(user())}, 1, 1_000_000, 1, 1, 1_000_000).Err()
		}},
		{"page of 14 KB", func(ctx context.Context, _ int) error {
			if value, _ := c.Get(ctx, "ch_1", "1"); len(value) != 14_000 {
				return fmt.Errorf("%d bytes", len(value))
			}
			return nil
		}, func(ctx context.Context, _ int) error {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			return get.Run(ctx, bare, []string{cfg.Prefix + "cache:{ch_1}", cfg.Prefix + "cache:{ch_1}:1"}, "1", 2000).Err()
		}},
	} {
		for _, inFlight := range storetest.InFlight {
			b.Run(fmt.Sprintf("%s/%d", side.name, inFlight), func(b *testing.B) {
				c.Put(b.Context(), "ch_1", "1", bytes.Repeat([]byte("a page "), 2_000)) // outlives its turns, not all of them
				storetest.Duel{InFlight: inFlight, Size: 1}.Run(b, side.ours, side.bare)
			})
		}
	}
	require.False(b, s.Degraded() || c.Degraded())
}

func TestCacheOnRedis(t *testing.T) {
	cfg := config(t)
	testCache(t, openCache(t, cfg), openCache(t, cfg))
	ttl, err := client(t, cfg.URL).PTTL(t.Context(), cfg.Prefix+"cache:{ch_1}").Result()
	require.NoError(t, err)
	require.Positive(t, ttl)
	require.LessOrEqual(t, ttl, time.Minute)
}
