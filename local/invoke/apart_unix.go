//go:build unix

package invoke

import (
	"os/exec"
	"syscall"
)

// apart puts the command into a process group of its own, so that a Ctrl-C in
// the terminal does not reach it beside our own signal: the second would end it
// without draining.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
