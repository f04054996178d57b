package servertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/wait"
)

// startWait bounds the start of a container, its image's download included.
const startWait = 5 * time.Minute

// Server is a container.
type Server struct {
	product   Product
	address   string
	container *testcontainers.DockerContainer
}

// Option changes how a container is started.
type Option func(*testcontainers.GenericContainerRequest) error

// File copies a file into the container before it starts.
func File(from, to string) Option {
	return func(r *testcontainers.GenericContainerRequest) error {
		r.Files = append(r.Files, testcontainers.ContainerFile{HostFilePath: from, ContainerFilePath: to, FileMode: 0o644})
		return nil
	}
}

// Env sets a variable of the container.
func Env(name, value string) Option {
	return func(r *testcontainers.GenericContainerRequest) error {
		return testcontainers.WithEnv(map[string]string{name: value})(r)
	}
}

// Args replaces the arguments of the server's command.
func Args(args ...string) Option {
	return func(r *testcontainers.GenericContainerRequest) error {
		r.Cmd = args
		return nil
	}
}

// Start runs a server for this test alone, removed when the test ends. Its
// address stays the same when it is killed and started again.
func Start(t testing.TB, p Product, opts ...Option) *Server {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatalf("start %s: %v", p, err)
	}
	s, err := start(t.Context(), p, append(opts, published(recipes[p].port, port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.remove(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Address is where clients connect to, as the product's own function gives it.
func (s *Server) Address() string { return s.address }

// Kill ends the server as kill -9 does. Its disk stays.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := s.docker(func(ctx context.Context, c *testcontainers.DockerClient) error {
		_, err := c.ContainerKill(ctx, s.container.ID, client.ContainerKillOptions{Signal: "KILL"})
		return err
	}); err != nil {
		t.Fatalf("kill %s: %v", s.product, err)
	}
}

// Stop ends the server as its operator does. Its disk stays.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	wait := 30 * time.Second
	if err := s.container.Stop(t.Context(), &wait); err != nil {
		t.Fatalf("stop %s: %v", s.product, err)
	}
}

// Restart starts a server that was killed or stopped, and returns once it is
// ready.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startWait)
	defer cancel()
	err := s.awaitAnew(ctx)
	if err == nil {
		err = s.container.Start(ctx)
	}
	if err != nil {
		t.Fatalf("start %s again: %v%s", s.product, err, s.lastWords())
	}
}

// awaitAnew makes the next start wait for a line of its own: a container's log
// also holds what it said in earlier lives.
func (s *Server) awaitAnew(ctx context.Context) error {
	line, ok := recipes[s.product].ready.(*wait.LogStrategy)
	if !ok {
		return nil
	}
	r, err := s.container.Logs(ctx)
	if err != nil {
		return fmt.Errorf("read its log: %w", err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read its log: %w", err)
	}
	said := strings.Count(string(b), line.Log)
	s.container.WaitingFor = wait.ForLog(line.Log).WithOccurrence(said + 1).WithStartupTimeout(startWait)
	return nil
}

func start(ctx context.Context, p Product, opts []Option) (*Server, error) {
	r, ok := recipes[p]
	if !ok {
		return nil, fmt.Errorf("start %s: there is no such product", p)
	}
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	all := []testcontainers.ContainerCustomizer{
		testcontainers.WithLogger(log.NewNoopLogger()),
		testcontainers.WithExposedPorts(exposed(p)...),
		testcontainers.WithEnv(r.env),
		testcontainers.WithLabels(owned),
		testcontainers.WithWaitStrategyAndDeadline(startWait, r.ready),
	}
	if r.entrypoint != nil {
		all = append(all, testcontainers.WithEntrypoint(r.entrypoint...))
	}
	if r.cmd != nil {
		all = append(all, testcontainers.WithCmd(r.cmd...))
	}
	for _, o := range opts {
		all = append(all, testcontainers.CustomizeRequestOption(o))
	}
	s := &Server{product: p}
	var err error
	s.container, err = testcontainers.Run(ctx, Image(p), all...)
	if err == nil {
		s.address, err = s.container.PortEndpoint(ctx, r.port, r.scheme)
	}
	if r.user != "" {
		s.address = strings.Replace(s.address, "://", "://"+r.user+"@", 1)
	}
	if err != nil {
		err = fmt.Errorf("start %s from %s: %w%s", p, Image(p), err, s.lastWords())
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// exposed are the ports that a start needs.
func exposed(p Product) []string {
	if p == ProductKeycloak { // tells on another one whether it is ready
		return []string{recipes[p].port, "9000/tcp"}
	}
	return []string{recipes[p].port}
}

func published(port, host string) Option {
	return func(r *testcontainers.GenericContainerRequest) error {
		inner, err := network.ParsePort(port)
		if err != nil {
			return err
		}
		return testcontainers.WithHostConfigModifier(func(c *container.HostConfig) {
			if c.PortBindings == nil {
				c.PortBindings = network.PortMap{}
			}
			c.PortBindings[inner] = []network.PortBinding{{HostPort: host}}
		})(r)
	}
}

func freePort() (string, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// lastWords are the last lines of the container's log.
func (s *Server) lastWords() string {
	if s.container == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := s.container.Logs(ctx)
	if err != nil {
		return ""
	}
	defer r.Close()
	b, _ := io.ReadAll(io.LimitReader(r, 1<<20))
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return "\n  " + strings.Join(lines[max(0, len(lines)-15):], "\n  ")
}

func (s *Server) remove() error {
	if s.container == nil {
		return nil
	}
	return s.docker(func(ctx context.Context, c *testcontainers.DockerClient) error {
		return removeContainer(ctx, c, s.container.ID)
	})
}

func (s *Server) docker(f func(context.Context, *testcontainers.DockerClient) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return f(ctx, c)
}

func removeContainer(ctx context.Context, c *testcontainers.DockerClient, id string) error {
	_, err := c.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil {
		return fmt.Errorf("remove container %s: %w", id, err)
	}
	return nil
}

// existing is the address that a variable gives.
func existing(r recipe) string {
	a := strings.TrimSpace(os.Getenv(r.variable))
	if r.scheme == "http" {
		a = strings.TrimSuffix(a, "/")
	}
	return a
}
