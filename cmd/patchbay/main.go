// Command patchbay is the cluster router for instant-messaging nodes: one file per verb.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

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
			fmt.Fprintln(root.ErrOrStderr(), "patchbay: "+ee.err.Error())
		}
		return ee.code
	}
	help := "patchbay help" + strings.TrimSuffix(strings.TrimPrefix(cmd.CommandPath(), root.Name()), " help")
	fmt.Fprintf(root.ErrOrStderr(), "patchbay: %v\nsee: %s\n", err, help)
	return exitUsage
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "patchbay",
		Short:         "the cluster router for instant-messaging nodes",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version,
		Args:          verbOf,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newDemoCommand(), newServeCommand(), newInitCommand(), newCheckCommand(), newNodeCommand(), newCtlCommand(),
		newConformanceCommand(), newCompletionCommand(), newManCommand(), newVersionCommand())
	root.SetHelpCommand(newHelpCommand())
	root.InitDefaultHelpCmd()
	bare(root)
	root.SetUsageTemplate(usageTemplate)
	root.SetHelpTemplate(helpTemplate)
	return root
}

// bare leaves "[flags]" out of the lines that say how a verb is used: they name what matters.
func bare(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine = true
	for _, c := range cmd.Commands() {
		bare(c)
	}
}

// helpTemplate shows the manual of the whole for the root, and the usual page for a verb.
const helpTemplate = `{{if .HasParent}}{{with (or .Long .Short)}}{{.}}

{{end}}{{.UsageString}}{{else}}` + manual + `{{end}}`

// usageTemplate is the end of a verb's page.
const usageTemplate = `Usage:
  {{.UseLine}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Verbs:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Flags of all verbs of {{.Parent.Name}}:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}
`

const manual = `patchbay - the cluster router for instant-messaging nodes

Start
  patchbay demo  [--for 30s] [--plain]                  three nodes chat across the router; watch
  patchbay serve [--config FILE] [--set KEY=VALUE]      run a server; no file: development, loopback
  patchbay init  [--domain im.example] [FILE]           an annotated file with a fresh secret
  patchbay check [--config FILE] [--against-running]    every fault of a file, with line and mend
Be a node
  patchbay node  DOMAIN [--secret SECRET] [--user JID]... [--echo]   attach by hand: see, type, send
Look                       patchbay ctl ...  all take [--url URL] [-o table|wide|json] [--watch]
  ctl status               one screen: health, nodes, rates, what is wrong now
  ctl top                  live view of nodes [--sort queue|in|out|sessions]
  ctl nodes [DOMAIN]       state, sessions, grade of delivery, queue, oldest stanza, outbox
  ctl links [--closed]     streams; --closed: the last 200 that ended or were refused, and why
  ctl sessions             [--node DOMAIN] [--user JID] [--limit 100] [--count]
  ctl where JID            each session of a user: node, priority, since
  ctl outcomes             what became of every stanza, by reason [--since 5m] [--node DOMAIN] [--reason R]
Ask
  ctl explain --from A --to B [--type T] [--kind message|iq|presence]    the decision; sends nothing
  ctl tap [JID|DOMAIN]     passing stanzas, headers only [--for 1m] [--count N] [--body]
  ctl doctor               self-check of the running system and what to do [-o text|json|nagios]
Act                        asks on a terminal, --yes elsewhere; each act is logged with who
  ctl drain|undrain NODE|--server [--timeout 5m]    no new sessions, queue emptied; 0: safe to stop
  ctl kick JID|DOMAIN[/LINK] [--reason TEXT]
  ctl reload               apply the file; prints what changed and what needs a restart
  ctl secret DOMAIN        the secret of a name under a wildcard (from the file; asks for the token)
Judge
  patchbay conformance --addr HOST:PORT --node DOMAIN=SECRET [--node ...] [--server-domain D] [--users D]
     [--profile component|modern|sessions] [--level must|should|may|policy] [--only ID,..] [--list]
     [--skip ID,..] [--safe|--stress] [--report FILE]... [--expect FILE] [--update-expect] [--wire]
  patchbay conformance node --listen HOST:PORT --node DOMAIN=SECRET    judges a node
  patchbay conformance recipe prosody|ejabberd|openfire|jabberd2       what to paste there
  patchbay conformance compare RUN.json RUN.json [--report matrix.html]
More
  patchbay help VERB|node|config|wire|errors|ops     the manual, in the binary; examples first
  patchbay completion bash|zsh|fish|powershell       patchbay man DIR     patchbay version [-o json]
SECRET: a literal, @FILE or env:NAME (node: PATCHBAY_SECRET, then ./patchbay-data/dev-secret).
Read from the environment: PATCHBAY_URL, PATCHBAY_TOKEN, PATCHBAY_CONFIG, NO_COLOR.
Exit: 0 done   1 failed, not conformant, faults found   2 wrong use   3 server not reached
`
