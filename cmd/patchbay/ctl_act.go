package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/ctl"
	"github.com/patchbay-im/patchbay/internal/say"
)

// acts adds --yes and -o to a verb that changes something.
func (a *asking) acts(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask; needed where stdin is no terminal")
	return a.answers(cmd)
}

// act is one change: it asks a person, and then the server.
type act struct {
	*asking
	cmd *cobra.Command
	r   *ctl.Remote
	ctx context.Context
}

// run prepares a change and does it.
func (a *asking) run(cmd *cobra.Command, do func(x act) error) error {
	if err := a.checked(); err != nil {
		return err
	}
	if !a.yes && !isTerminalReader(cmd.InOrStdin()) {
		return fmt.Errorf("%s changes a running server: say --yes where nobody can be asked", cmd.CommandPath())
	}
	r, err := a.remote(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(cmd)
	defer stop()
	return failure(do(act{a, cmd, r, ctx}))
}

// sure asks a person, on stderr; without --yes, anything but yes ends the verb with 1.
func (x act) sure(question string) error {
	if x.yes {
		return nil
	}
	fmt.Fprintf(x.cmd.ErrOrStderr(), "%s? [y/N] ", say.Clean(question))
	line := make(chan string, 1)
	// Nobody waits for this one: a read from a terminal cannot be interrupted, it ends with the process.
	go func() {
		said, _ := bufio.NewReader(x.cmd.InOrStdin()).ReadString('\n') // the end of the input is no yes
		line <- said
	}()
	select {
	case said := <-line:
		if word := strings.ToLower(strings.TrimSpace(said)); word == "y" || word == "yes" {
			return nil
		}
	case <-x.ctx.Done():
		fmt.Fprintln(x.cmd.ErrOrStderr())
	}
	return &exitError{exitFailed, errors.New("nothing was changed")}
}

// show writes what came of a change.
func (x act) show(v any, drawn string) error {
	out := x.cmd.OutOrStdout()
	if x.output == asJSON {
		return encode(out, v, false)
	}
	_, err := io.WriteString(out, drawn)
	return err
}

func (a *asking) undrain() *cobra.Command {
	var server bool
	cmd := a.acts(&cobra.Command{
		Use:               "undrain NODE|--server",
		Short:             "take new sessions again",
		Long:              "Ends a drain: the node, or the server with --server, takes new sessions again.",
		Example:           "  patchbay ctl undrain node1.im.example",
		Args:              takes("[NODE]"),
		ValidArgsFunction: a.domains,
		RunE: func(cmd *cobra.Command, args []string) error {
			target, err := targetOf(args, server)
			if err != nil {
				return err
			}
			return a.run(cmd, func(x act) error {
				if err := x.sure("undrain " + ctl.Subject(target.Node)); err != nil {
					return err
				}
				v, err := ctl.Post[api.Drained](x.ctx, x.r, api.PathUndrain, target)
				if err != nil {
					return err
				}
				return x.show(v, x.screen(cmd.OutOrStdout()).Drained(v))
			})
		},
	})
	cmd.Flags().BoolVar(&server, "server", false, "the server as a whole")
	return cmd
}

// targetOf reads NODE or --server.
func targetOf(args []string, server bool) (api.Target, error) {
	switch {
	case server && len(args) > 0:
		return api.Target{}, errors.New("name a NODE or say --server, not both")
	case server:
		return api.Target{Server: true}, nil
	case len(args) == 0:
		return api.Target{}, errors.New("name a NODE, or say --server for the server as a whole")
	}
	return api.Target{Node: args[0]}, nil
}

func (a *asking) kick() *cobra.Command {
	var reason string
	cmd := a.acts(&cobra.Command{
		Use:   "kick JID|DOMAIN[/LINK] [--reason TEXT]",
		Short: "end a session, all sessions of a user, or links of a node",
		Long: "Ends what it names: a full JID (one session), a bare JID (all of a user), a node's domain (all its links), or domain/number\n" +
			"(one link, as patchbay ctl links counts them). A node that is kicked may attach again, and keeps its sessions if it is back\n" +
			"within its grace; a session that is kicked is told to its node.",
		Example:           "  patchbay ctl kick bob@im.example/web --reason \"stolen phone\"\n  patchbay ctl kick node1.im.example/7",
		Args:              takes("JID|DOMAIN[/LINK]"),
		ValidArgsFunction: a.domains,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.run(cmd, func(x act) error {
				what, err := x.extent(args[0])
				if err != nil {
					return err
				}
				if err := x.sure("kick " + args[0] + what); err != nil {
					return err
				}
				v, err := ctl.Post[api.Kicked](x.ctx, x.r, api.PathKick, api.Kick{Target: args[0], Reason: reason})
				if err != nil {
					return err
				}
				return x.show(v, x.screen(cmd.OutOrStdout()).Kicked(args[0], v))
			})
		},
	})
	cmd.Flags().StringVar(&reason, "reason", "", "what the node is told, and the log")
	return cmd
}

// extent says how much an act is about, so that who is asked knows: " (182,401 sessions)". With --yes nobody is asked.
func (x act) extent(target string) (string, error) {
	if x.yes {
		return "", nil
	}
	domain, rest, _ := strings.Cut(target, "/")
	if strings.Contains(domain, "@") {
		v, err := ctl.Get[api.Sessions](x.ctx, x.r, api.PathSessions, query("user", target, "count", "true"))
		if err != nil || rest != "" {
			return "", err
		}
		return ctl.Extent(v.Count), nil
	}
	v, err := ctl.Get[api.Nodes](x.ctx, x.r, api.PathNodes, query("domain", domain))
	if err != nil || len(v.Nodes) != 1 {
		return "", err
	}
	return ctl.Extent(v.Nodes[0].Sessions), nil
}

func (a *asking) reload() *cobra.Command {
	return a.acts(&cobra.Command{
		Use:   "reload",
		Short: "apply the file; prints what changed and what needs a restart",
		Long: "The server reads its configuration again and applies what can be applied while it runs. It prints each change, those that\n" +
			"need a restart, or every fault of the file; with a fault nothing is applied, and it ends with 1. To see the changes\n" +
			"first: patchbay check --against-running.",
		Example: "  patchbay check --against-running && patchbay ctl reload --yes",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.run(cmd, func(x act) error {
				if err := x.sure("apply the configuration file to the server at " + x.r.URL()); err != nil {
					return err
				}
				v, err := ctl.Post[api.Reloaded](x.ctx, x.r, api.PathReload, nil)
				var refused *api.Error
				if errors.As(err, &refused) && len(refused.Faults) > 0 { // they are the answer
					err = x.show(refused, x.screen(cmd.OutOrStdout()).Refused(refused))
					return errors.Join(err, &exitError{code: exitFailed})
				}
				if err != nil {
					return err
				}
				return x.show(v, x.screen(cmd.OutOrStdout()).Reloaded(v))
			})
		},
	})
}

func (a *asking) secret() *cobra.Command {
	return a.answers(&cobra.Command{
		Use:   "secret DOMAIN",
		Short: "the secret of a name under a wildcard (from the file; asks for the token)",
		Long: "What a node of this name attaches with. Under an entry for *.im.example, node7.im.example may use the secret of the entry, or\n" +
			"the one printed here, with which it can be itself and no other. The server logs who asked.",
		Example: "  patchbay ctl secret node7.im.example > node7.secret",
		Args:    takes("DOMAIN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.checked(); err != nil {
				return err
			}
			r, err := a.remote(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			ctx, stop := untilSignal(cmd)
			defer stop()
			v, err := ctl.Post[api.Secret](ctx, r, api.PathSecret, api.SecretOf{Domain: args[0]})
			if err != nil {
				return failure(err)
			}
			if a.output == asJSON {
				return failure(encode(cmd.OutOrStdout(), v, false))
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s, under nodes[%s]:\n", say.Clean(v.Domain), say.Clean(v.Under))
			_, err = fmt.Fprintln(cmd.OutOrStdout(), say.Clean(v.Secret))
			return failure(err)
		},
	})
}
