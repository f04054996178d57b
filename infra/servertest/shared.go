package servertest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// shared are the containers of this test binary.
var shared = map[Product]*slot{
	ProductCassandra: {}, ProductMongoDB: {}, ProductElasticsearch: {},
	ProductRedis: {}, ProductKeycloak: {}, ProductNATS: {}, ProductS3: {},
}

type slot struct {
	mu     sync.Mutex
	server *Server
	err    error // of the one attempt to start it
}

var (
	inMain atomic.Bool
	sweep  = sync.OnceValue(removeOrphans)
)

// Main runs the tests, removes the containers, and ends the process:
//
//	func TestMain(m *testing.M) { servertest.Main(m) }
func Main(m *testing.M) {
	inMain.Store(true)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-stop
		_ = removeShared() // the next run sweeps up what is left
		os.Exit(130)
	}()
	code := m.Run()
	if err := removeShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func removeShared() error {
	var errs []error
	for _, s := range shared {
		s.mu.Lock()
		if s.server != nil {
			errs = append(errs, s.server.remove())
			s.server = nil
		}
		s.mu.Unlock()
	}
	return errors.Join(errs...)
}

func address(t testing.TB, p Product) string {
	t.Helper()
	if a := existing(recipes[p]); a != "" {
		return a
	}
	if !inMain.Load() {
		t.Fatal("servertest: the package's TestMain has to call servertest.Main, which removes the containers")
	}
	s := shared[p]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil && s.err == nil {
		if s.err = sweep(); s.err == nil {
			s.server, s.err = start(context.Background(), p, nil) // outlives the test
		}
	}
	if s.err != nil {
		t.Fatalf("%v\nNo %s to test with: set %s to one that runs, or have a container engine and the image.", s.err, p, recipes[p].variable)
	}
	return s.server.address
}

// Name makes a name that no other test has: lower-case letters, digits and
// underscores, beginning with a letter, at most 40 of them.
func Name(t testing.TB) string {
	words := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '_'
	}, t.Name())
	return "t_" + words[:min(len(words), 26)] + "_" + strings.ToLower(rand.Text()[:11])
}

// The labels by which the next test binary finds containers whose own one was
// killed.
const (
	labelPlace   = "chat.servertest.place"
	labelProcess = "chat.servertest.process"
)

var owned = map[string]string{labelPlace: place(), labelProcess: strconv.Itoa(os.Getpid())}

// place tells apart the machines (or containers) whose processes are numbered
// separately.
func place() string {
	host, _ := os.Hostname()
	space, _ := os.Readlink("/proc/self/ns/pid")
	return host + space
}

// removeOrphans removes the containers of test binaries that have ended.
func removeOrphans() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	list, err := c.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: client.Filters{}.Add("label", labelPlace+"="+place()),
	})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	for _, i := range list.Items {
		if pid, err := strconv.Atoi(i.Labels[labelProcess]); err == nil && !alive(pid) {
			_ = removeContainer(ctx, c, i.ID) // another binary may be doing the same
		}
	}
	return nil
}

// alive errs on the side of yes.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer func() { _ = p.Release() }()
	return !errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}
