// Command patchbay is the cluster router for instant-messaging nodes: one file per verb.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// The exit codes, a contract (docs: help).
const (
	exitDone    = 0 // done
	exitFailed  = 1 // failed, not conformant, faults found
	exitUsage   = 2 // wrong use
	exitNoReach = 3 // server not reached
)

// exitError ends the process with a code. What there was to say has been said if err is nil.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func main() { os.Exit(run(newRoot())) }

// run executes the command and turns its error into one line and an exit code.
func run(root *cobra.Command) int {
	cmd, err := root.ExecuteC()
	if err == nil {
		return exitDone
	}
	var ee *exitError
	if errors.As(err, &ee) {
		if ee.err != nil {
			fmt.Fprintln(os.Stderr, "patchbay: "+ee.err.Error())
		}
		return ee.code
	}
	help := "patchbay help"
	if cmd.HasParent() {
		help += " " + cmd.Name()
	}
	fmt.Fprintf(os.Stderr, "patchbay: %v\nsee: %s\n", err, help)
	return exitUsage
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "patchbay",
		Short:         "the cluster router for instant-messaging nodes",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newDemoCommand(), newServeCommand(), newCheckCommand(), newNodeCommand(), newVersionCommand())
	root.SetHelpTemplate(helpTemplate)
	return root
}

// helpTemplate shows the manual of the whole for the root, and the usual page for a verb.
const helpTemplate = `{{if .HasParent}}{{with (or .Long .Short)}}{{.}}

{{end}}{{.UsageString}}{{else}}` + manual + `{{end}}`

const manual = `patchbay - the cluster router for instant-messaging nodes

Start
  patchbay demo  [--for 30s] [--plain]                  three nodes chat across the router; watch
  patchbay serve [--config FILE] [--set KEY=VALUE]      run a server; no file: development, loopback
  patchbay check [--config FILE] [-o text|json]         every fault of a file, with line and mend
Be a node
  patchbay node  DOMAIN [--secret SECRET] [--user JID]... [--echo]   attach by hand: see, type, send
More
  patchbay help VERB     patchbay version [-o json]
SECRET: a literal, @FILE or env:NAME (node: PATCHBAY_SECRET, then ./patchbay-data/dev-secret).
Read from the environment: PATCHBAY_CONFIG, NO_COLOR.
Exit: 0 done   1 failed, faults found   2 wrong use   3 server not reached
`
