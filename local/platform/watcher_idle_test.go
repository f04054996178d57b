//go:build integration

package platform_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/keycloak/keycloaktest"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/servertest"
)

// tick is the unit of Linux' process times.
const tick = 10 * time.Millisecond

// cpu is the processor time of the process, in user and system mode.
func (w *watcherProcess) cpu(t testing.TB) time.Duration {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(w.cmd.Process.Pid) + "/stat")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(b), ") ") // behind the name
	fields := strings.Fields(rest)
	var sum time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		require.NoError(t, err)
		sum += time.Duration(n) * tick
	}
	return sum
}

// BenchmarkWatcherIdle tells what a watcher costs while nothing happens: the
// watcher itself, Keycloak with and without it, and requests. It takes six times
// CUTOFF_IDLE seconds, 60 if unset:
//
//	go test -tags integration -run '^$' -bench WatcherIdle -benchtime 1x ./local/platform
func BenchmarkWatcherIdle(b *testing.B) {
	idle := time.Duration(number(b, "CUTOFF_IDLE", 60)) * time.Second
	keycloak := servertest.Start(b, servertest.ProductKeycloak, servertest.Env("JAVA_OPTS_APPEND", "-XX:TieredStopAtLevel=4")) // compiled as for production
	r := keycloaktest.At(keycloak.Address(), servertest.Name(b))
	require.Equal(b, http.StatusCreated, r.Import(b, keycloaktest.File(b, r.Name)))
	bin := buildWatcher(b, r, natstest.Start(b).ClientURL())
	hasty, err := bin.start(b, "IDENTITY_POLL=1ms") // Keycloak has compiled what is asked of it
	require.NoError(b, err)
	<-time.After(idle / 2)
	hasty.kill()
	for b.Loop() {
		var watcher, with, without time.Duration
		for range 2 { // in turns: Keycloak compiles itself meanwhile
			w, err := bin.start(b)
			require.NoError(b, err)
			<-time.After(idle / 4) // it has found out where it was
			before, own := keycloak.CPU(b), w.cpu(b)
			<-time.After(idle)
			with, watcher = with+keycloak.CPU(b)-before, watcher+w.cpu(b)-own
			w.kill()
			<-time.After(idle / 4)
			before = keycloak.CPU(b)
			<-time.After(idle)
			without += keycloak.CPU(b) - before
		}
		for name, used := range map[string]time.Duration{"watcher": watcher, "keycloak-with": with, "keycloak-without": without} {
			b.ReportMetric(100*float64(used)/float64(2*idle), name+"-%core")
		}
		b.ReportMetric(requests(b, r, bin, idle/2), "requests/s")
	}
}

// requests counts what the watcher asks of Keycloak, by a proxy between them.
func requests(b *testing.B, r *keycloaktest.Realm, bin watcherBinary, during time.Duration) float64 {
	b.Helper()
	base, err := url.Parse(r.Base)
	require.NoError(b, err)
	var n atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(base)
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		n.Add(1)
		proxy.ServeHTTP(w, req)
	}))
	defer between.Close()
	w, err := bin.start(b, "OIDC_DISCOVERY_URL="+between.URL+"/realms/"+r.Name)
	require.NoError(b, err)
	defer w.kill()
	require.Eventually(b, func() bool { return n.Load() > 5 }, waitLong, waitStep, &w.out)
	from, began := n.Load(), time.Now()
	<-time.After(during)
	return float64(n.Load()-from) / time.Since(began).Seconds()
}
