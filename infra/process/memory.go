package process

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// limitMemory lets the garbage collector work harder before the container's
// limit kills the process: at 90 % of it, unless GOMEMLIMIT says otherwise.
func limitMemory(environ map[string]string, limit func() (int64, bool)) {
	if _, set := environ["GOMEMLIMIT"]; set {
		return // the runtime has read it
	}
	if n, ok := limit(); ok {
		debug.SetMemoryLimit(n / 10 * 9)
	}
}

// cgroupLimit is the container's memory limit, in bytes, where it has one.
func cgroupLimit() (int64, bool) {
	b, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if err != nil {
		return 0, false
	}
	return parseLimit(string(b))
}

func parseLimit(s string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	return n, err == nil && n > 0
}

func stack() string {
	b := make([]byte, 16<<10)
	return string(b[:runtime.Stack(b, false)])
}
