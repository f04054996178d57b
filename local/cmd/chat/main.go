// Command chat runs the whole platform in one process, and the tools around it.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/local/full"
	"github.com/chat-platform/chat/local/platform"
	"github.com/chat-platform/chat/local/tools"
)

const usage = `usage: chat COMMAND [flags]

  run         the platform, until Ctrl-C (DATA_DIR, PORT and every other setting by environment)
  full        the platform on all real servers, which it starts in containers
  rebuild     rebuild views from the log, while the platform serves or not
  replay      send a corpus to a running platform, and verify it
  load        send at a steady rate to a running platform, and measure
  invoke      post a fixture to one function started alone
  dead        list, show, redrive and discard events that were refused
  partitions  show or change how the log's messages are divided
  realm       print the realm file for Keycloak (-development: with people to try it)

chat COMMAND -h names the flags.
`

func main() {
	commands := map[string]func(context.Context, *process.Process) error{
		"run": platform.Run, "full": full.Run, "rebuild": tools.Rebuild, "replay": tools.Replay, "load": tools.Load, "invoke": tools.Invoke, "dead": tools.Dead,
		"partitions": tools.Partitions, "realm": tools.Realm,
	}
	command := ""
	if len(os.Args) > 1 {
		command = os.Args[1]
	}
	switch run := commands[command]; {
	case run != nil:
		process.Main("chat", run)
	case command == "help" || command == "-h" || command == "--help":
		fmt.Print(usage)
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
}
