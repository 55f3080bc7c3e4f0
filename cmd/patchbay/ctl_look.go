package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/ctl"
)

// reads makes the question for a path that is read.
func reads[T any](path string, query url.Values) func(context.Context, *ctl.Remote) (T, error) {
	return func(ctx context.Context, r *ctl.Remote) (T, error) { return ctl.Get[T](ctx, r, path, query) }
}

// query leaves out what is not given.
func query(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

func (a *asking) status() *cobra.Command {
	return a.looks(&cobra.Command{
		Use:   "status",
		Short: "one screen: health, nodes, rates, what is wrong now",
		Long: "One screen: is it us, and what is wrong now. It ends with 0 whatever is wrong, for the answer is there;\n" +
			"to be told by the exit code, use patchbay ctl doctor.",
		Example: "  patchbay ctl status\n  patchbay ctl status -o json | jq .health",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return look[api.Status]{reads[api.Status](api.PathStatus, nil), ctl.Screen.Status}.run(cmd, a)
		},
	})
}

func (a *asking) nodes() *cobra.Command {
	return a.looks(&cobra.Command{
		Use:   "nodes [DOMAIN]",
		Short: "state, sessions, grade of delivery, queue, oldest stanza, outbox",
		Long: "Every node that is known, and what is wrong with them; with DOMAIN all that is known of one.\n" +
			"STATE is attached, draining (it takes no new sessions), away (its link dropped, its sessions stay until its grace ends),\n" +
			"gone or never seen. OLDEST is how long the oldest stanza in its queue has waited. A ! marks what is wrong.",
		Example:           "  patchbay ctl nodes\n  patchbay ctl nodes node1.im.example\n  patchbay ctl nodes --watch -o wide",
		Args:              takes("[DOMAIN]"),
		ValidArgsFunction: a.domains,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return look[api.Nodes]{reads[api.Nodes](api.PathNodes, nil), ctl.Screen.Nodes}.run(cmd, a)
			}
			return look[api.Nodes]{reads[api.Nodes](api.PathNodes, query("domain", args[0])), ctl.Screen.Node}.run(cmd, a)
		},
	})
}

func (a *asking) links() *cobra.Command {
	var closed bool
	cmd := a.looks(&cobra.Command{
		Use:   "links [--closed]",
		Short: "streams; --closed: the last 200 that ended or were refused, and why",
		Long: "Every stream of a node. With --closed the last 200 that ended or were refused, with the text that the peer was told:\n" +
			"what was wrong, and what to do. Look here first when a node does not attach.",
		Example: "  patchbay ctl links --closed",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			only := ""
			if closed {
				only = "true"
			}
			return look[api.Links]{reads[api.Links](api.PathLinks, query("closed", only)), ctl.Screen.Links}.run(cmd, a)
		},
	})
	cmd.Flags().BoolVar(&closed, "closed", false, "those that ended or were refused")
	return cmd
}

func (a *asking) sessions() *cobra.Command {
	var node, user string
	var limit int
	var counted bool
	cmd := a.looks(&cobra.Command{
		Use:     "sessions [--node DOMAIN] [--user JID] [--limit 100] [--count]",
		Short:   "sessions of a node, of a user, or of all",
		Long:    "Sessions: a resource of a user, the node it is on, its priority and since when.",
		Example: "  patchbay ctl sessions --node node1.im.example --limit 1000\n  patchbay ctl sessions --count",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return fmt.Errorf("--limit is 1 or more, not %d", limit)
			}
			q := query("node", node, "user", user, "limit", strconv.Itoa(limit))
			if counted {
				q.Set("count", "true")
			}
			return look[api.Sessions]{reads[api.Sessions](api.PathSessions, q), ctl.Screen.Sessions}.run(cmd, a)
		},
	})
	cmd.Flags().StringVar(&node, "node", "", "only those on this node")
	cmd.Flags().StringVar(&user, "user", "", "only those of this user")
	cmd.Flags().IntVar(&limit, "limit", 100, "as many at most")
	cmd.Flags().BoolVar(&counted, "count", false, "only how many there are")
	must(cmd.RegisterFlagCompletionFunc("node", a.completeNode))
	return cmd
}

func (a *asking) completeNode(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	return a.domains(cmd, nil, word)
}

func (a *asking) where() *cobra.Command {
	return a.looks(&cobra.Command{
		Use:   "where JID",
		Short: "each session of a user: node, priority, since",
		Long: "Where a user is: online, away (the node's link dropped, stanzas wait), not known yet (after a restart), or offline.\n" +
			"It tells too which sessions have ended not long ago, and why.",
		Example: "  patchbay ctl where bob@im.example",
		Args:    takes("JID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return look[api.Where]{reads[api.Where](api.PathWhere, query("jid", args[0])), ctl.Screen.Where}.run(cmd, a)
		},
	})
}

func (a *asking) outcomes() *cobra.Command {
	var since time.Duration
	var node, reason string
	cmd := a.looks(&cobra.Command{
		Use:   "outcomes [--since 5m] [--node DOMAIN] [--reason R]",
		Short: "what became of every stanza, by reason",
		Long: "The account of every stanza since the server's start, and each reason for which one did not arrive. What came in is on the\n" +
			"left of =, what became of it on the right. -o wide tells what the reasons mean and what to do; so does\n" +
			"patchbay help errors#REASON.",
		Example: "  patchbay ctl outcomes\n  patchbay ctl outcomes --since 1h --node node1.im.example\n  patchbay ctl outcomes --reason no-session",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if since < time.Second {
				return fmt.Errorf("--since is 1s or more, not %s", since)
			}
			q := query("since", since.String(), "node", node, "reason", reason)
			return look[api.Outcomes]{reads[api.Outcomes](api.PathOutcomes, q), ctl.Screen.Outcomes}.run(cmd, a)
		},
	})
	cmd.Flags().DurationVar(&since, "since", 5*time.Minute, "the span of the column LAST")
	cmd.Flags().StringVar(&node, "node", "", "only what came from this node")
	cmd.Flags().StringVar(&reason, "reason", "", "only this reason, and what it means")
	must(cmd.RegisterFlagCompletionFunc("node", a.completeNode))
	return cmd
}

func (a *asking) top() *cobra.Command {
	sort := ctl.Sorts[0]
	cmd := a.answers(&cobra.Command{
		Use:   "top [--sort " + strings.Join(ctl.Sorts, "|") + "]",
		Short: "live view of nodes",
		Long: "The nodes that need a look first, once a second: [s] sorts by the next column, [q] quits.\n" +
			"Into a pipe it writes one table after the other; with -o json one line per second.",
		Example: "  patchbay ctl top --sort sessions",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runTop(cmd, sort)
		},
	})
	cmd.Flags().StringVar(&sort, "sort", sort, strings.Join(ctl.Sorts, ", ")+": the largest first")
	must(cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions(ctl.Sorts, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}
