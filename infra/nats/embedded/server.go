// Package embedded runs nats-server with JetStream in this process, its streams
// in one folder.
//
// What the server acknowledged is in the operating system's hands: it outlives
// the process, kill -9 too, and, with SyncAlways, the machine's power. The same
// folder opened again is the same log. A folder is used by one process at a
// time, which a lock sees to.
package embedded

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Config of a server. Only Dir is needed.
type Config struct {
	Dir        string       // made if missing
	Port       int          // 0: no TCP, only connections within the process; −1: a free port; listens on the loopback address
	SyncAlways bool         // fsync before every acknowledgement: survives power loss, 1–2 k publishes/s
	Logger     *slog.Logger // warnings and errors of the server; slog.Default if nil
}

// Server is a running server.
type Server struct {
	cfg  Config
	mu   sync.Mutex
	srv  *server.Server
	lock io.Closer
}

// readyWait bounds the start, which reads the streams' indexes.
const readyWait = time.Minute

// Start opens the folder and returns once clients can connect.
func Start(cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Dir == "" {
		return nil, errors.New("embedded log: no folder is named")
	}
	s := &Server{cfg: cfg}
	if err := s.start(); err != nil {
		return nil, fmt.Errorf("embedded log in %s: %w", cfg.Dir, err)
	}
	return s, nil
}

func (s *Server) start() error {
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return err
	}
	lock, err := Lock(s.cfg.Dir)
	if err != nil {
		return err
	}
	srv, err := server.NewServer(&server.Options{
		ServerName: "embedded", Host: "127.0.0.1", Port: s.cfg.Port, DontListen: s.cfg.Port == 0,
		JetStream: true, StoreDir: s.cfg.Dir, SyncAlways: s.cfg.SyncAlways, NoSigs: true,
	})
	if err == nil {
		err = s.run(srv)
	}
	if err != nil {
		_ = lock.Close()
		return err
	}
	s.srv, s.lock = srv, lock
	if a, ok := srv.Addr().(*net.TCPAddr); ok && s.cfg.Port != 0 {
		s.cfg.Port = a.Port // a restart keeps it
	}
	return nil
}

// run starts the server and waits until it takes connections.
func (s *Server) run(srv *server.Server) error {
	fatal := make(chan string, 1)
	srv.SetLoggerV2(logger{s.cfg.Logger, fatal}, false, false, false)
	srv.Start()
	for end := time.Now().Add(readyWait); ; {
		ready := srv.ReadyForConnections(50 * time.Millisecond)
		var err error
		select {
		case why := <-fatal:
			err = errors.New(why)
		default:
			if ready && srv.JetStreamEnabled() {
				return nil
			}
			if ready {
				err = errors.New("JetStream did not start, see the log")
			} else if time.Now().After(end) {
				err = fmt.Errorf("the server is not ready after %v", readyWait)
			}
		}
		if err != nil {
			srv.Shutdown()
			return err
		}
	}
}

// Lock takes a folder as a server would, for a process that must be its only one
// though it runs no server there. The lock is held until it is closed, or the
// process ends in whatever way.
func Lock(dir string) (io.Closer, error) { return lockFile(filepath.Join(dir, "lock")) }

// InProcessConn opens a connection to the server without a socket.
func (s *Server) InProcessConn() (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv == nil {
		return nil, net.ErrClosed
	}
	return s.srv.InProcessConn()
}

// Dir is the server's folder.
func (s *Server) Dir() string { return s.cfg.Dir }

// ClientURL is where clients connect to over TCP, "" if they can't.
func (s *Server) ClientURL() string {
	if s.cfg.Port == 0 {
		return ""
	}
	return fmt.Sprintf("nats://127.0.0.1:%d", s.cfg.Port)
}

// Shutdown stops the server after it has written out everything, and returns
// when that is done. Clients that reconnect meet Restart's server.
func (s *Server) Shutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv == nil {
		return
	}
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
	_ = s.lock.Close()
	s.srv = nil
}

// Restart stops the server if it runs, and starts one on the same folder and
// port.
func (s *Server) Restart() error {
	s.Shutdown()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.start(); err != nil {
		return fmt.Errorf("embedded log in %s: %w", s.cfg.Dir, err)
	}
	return nil
}

// logger passes on what people must know of.
type logger struct {
	log   *slog.Logger
	fatal chan<- string
}

func (l logger) Noticef(string, ...any) {}
func (l logger) Debugf(string, ...any)  {}
func (l logger) Tracef(string, ...any)  {}

func (l logger) Warnf(format string, v ...any) {
	l.log.Warn("nats-server: " + fmt.Sprintf(format, v...))
}

func (l logger) Errorf(format string, v ...any) {
	l.log.Error("nats-server: " + fmt.Sprintf(format, v...))
}

// Fatalf does not end the process, Start returns it.
func (l logger) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default:
		l.Errorf(format, v...)
	}
}
