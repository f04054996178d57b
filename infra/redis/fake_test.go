package redis_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fake is a server that knows the script's reply by arithmetic of its own. It
// can be taken away and brought back, and can answer nonsense.
type fake struct {
	t    testing.TB
	addr string

	mu    sync.Mutex
	ln    net.Listener
	conns map[net.Conn]bool
	full  map[string]int64
	reply string // to every script instead
	known bool   // the script, which the first call has to bring
	cache map[string][2]string
	lease map[string]bool
}

func newFake(tb testing.TB) *fake {
	tb.Helper()
	f := &fake{t: tb, addr: "127.0.0.1:0", conns: map[net.Conn]bool{}, full: map[string]int64{}, cache: map[string][2]string{}, lease: map[string]bool{}}
	f.start()
	tb.Cleanup(f.stop)
	return f
}

func (f *fake) start() {
	ln, err := net.Listen("tcp", f.addr)
	require.NoError(f.t, err)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ln, f.addr, f.known = ln, ln.Addr().String(), false
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns[c] = true
			f.mu.Unlock()
			go f.serve(c)
		}
	}()
}

func (f *fake) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.ln.Close()
	for c := range f.conns {
		_ = c.Close()
	}
	clear(f.conns)
}

func (f *fake) answer(reply string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reply = reply
}

func (f *fake) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		args, err := command(r)
		if err != nil {
			return
		}
		if _, err := io.WriteString(c, f.reply1(args)); err != nil {
			return
		}
	}
}

// command reads an array of strings.
func command(r *bufio.Reader) ([]string, error) {
	var n int
	if _, err := fmt.Fscanf(r, "*%d\r\n", &n); err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		var size int
		if _, err := fmt.Fscanf(r, "$%d\r\n", &size); err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		args[i] = string(b[:size])
	}
	return args, nil
}

func (f *fake) reply1(args []string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch args[0] {
	case "evalsha", "eval":
		if f.reply != "" {
			return f.reply
		}
		if args[0] == "eval" {
			f.known = true
		}
		if !f.known {
			return "-NOSCRIPT no such script\r\n"
		}
		if args[2] == "2" {
			return f.cached(args[3], args[4], args[5:])
		}
		return f.script(args[3], args[4:])
	case "client":
		return "+OK\r\n"
	}
	return "-ERR unknown command '" + args[0] + "'\r\n"
}

func (f *fake) script(key string, argv []string) string {
	var n [5]int64
	for i := range n {
		n[i], _ = strconv.ParseInt(argv[i], 10, 64)
	}
	interval, quota, need, use, most := n[0], n[1], n[2], n[3], n[4]
	now := time.Now().UnixMicro()
	behind := min(max(f.full[key]-now, 0), interval*most)
	if behind+need*interval > quota*interval {
		return fmt.Sprintf("*2\r\n:0\r\n:%d\r\n", behind)
	}
	behind += use * interval
	f.full[key] = now + behind
	return fmt.Sprintf("*2\r\n:1\r\n:%d\r\n", behind)
}

// cached is both scripts of the cache: the one that keeps has a third argument.
func (f *fake) cached(key, lease string, argv []string) string {
	if len(argv) == 3 {
		if argv[1] != "" {
			f.cache[key] = [2]string{argv[0], argv[1]}
		}
		delete(f.lease, lease)
		return ":1\r\n"
	}
	if kept := f.cache[key]; kept[0] == argv[0] {
		return fmt.Sprintf("$%d\r\n%s\r\n", len(kept[1]), kept[1])
	}
	if f.lease[lease] {
		return ":0\r\n"
	}
	f.lease[lease] = true
	return ":1\r\n"
}
