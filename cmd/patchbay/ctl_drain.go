package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/ctl"
)

func (a *asking) drain() *cobra.Command {
	var server bool
	var timeout time.Duration
	cmd := a.acts(&cobra.Command{
		Use:   "drain NODE|--server [--timeout 5m]",
		Short: "no new sessions, queue emptied; 0: safe to stop",
		Long: "The node, or with --server the whole server, takes no new sessions; those that it has still get their stanzas. The node is told,\n" +
			"so that it can withdraw its sessions and send their users elsewhere. The command waits, and tells how far it is, until there are no\n" +
			"sessions and nothing waits in the queue any more, and ends with 0 then: safe to stop. At --timeout, or at Ctrl-C, it says what is\n" +
			"left and ends with 1, and the drain stays: patchbay ctl undrain ends it. --timeout 0 does not wait. Made for preStop hooks: see\n" +
			"patchbay help ops#drain.",
		Example:           "  patchbay ctl drain node1.im.example\n  patchbay ctl drain --server --yes --timeout 1m && systemctl stop patchbay",
		Args:              takes("[NODE]"),
		ValidArgsFunction: a.domains,
		RunE: func(cmd *cobra.Command, args []string) error {
			target, err := targetOf(args, server)
			if err != nil {
				return err
			}
			if timeout < 0 {
				return fmt.Errorf("--timeout is 0 or more, not %s", timeout)
			}
			return a.run(cmd, func(x act) error { return x.drain(target, timeout) })
		},
	})
	cmd.Flags().BoolVar(&server, "server", false, "the server as a whole")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long it may take until it is safe to stop")
	return cmd
}

// drain begins a drain and waits until it is safe to stop.
func (x act) drain(target api.Target, timeout time.Duration) error {
	if err := x.sureToDrain(target); err != nil {
		return err
	}
	v, err := ctl.Post[api.Drained](x.ctx, x.r, api.PathDrain, target)
	if err != nil {
		return err
	}
	if timeout > 0 {
		ctx, cancel := context.WithTimeout(x.ctx, timeout)
		defer cancel()
		if v, err = x.waitSafe(ctx, target, v); err != nil {
			return err
		}
	}
	screen := x.screen(x.cmd.OutOrStdout())
	if err := x.show(v, screen.Drained(v)+screen.Left(v)); err != nil {
		return err
	}
	undrain := "patchbay ctl undrain " + target.Node
	if target.Server {
		undrain = "patchbay ctl undrain --server"
	}
	switch {
	case v.Safe || timeout == 0:
		return nil
	case !v.Draining:
		return &exitError{exitFailed, errors.New("not safe to stop: the drain was taken back, or the server was started again")}
	case x.ctx.Err() != nil:
		return &exitError{exitFailed, errors.New("interrupted; the drain goes on, and ends with " + undrain)}
	}
	return &exitError{exitFailed, fmt.Errorf("not safe to stop after %s: %s; the drain goes on, and ends with %s", timeout, ctl.Remains(v), undrain)}
}

func (x act) sureToDrain(target api.Target) error {
	if x.yes {
		return nil
	}
	what, sessions := target.Node, 0
	if target.Server {
		status, err := ctl.Get[api.Status](x.ctx, x.r, api.PathStatus, nil)
		if err != nil {
			return err
		}
		what, sessions = "the server "+status.Server, status.Sessions
	} else {
		nodes, err := ctl.Get[api.Nodes](x.ctx, x.r, api.PathNodes, query("domain", target.Node))
		if err != nil {
			return err
		}
		if len(nodes.Nodes) == 1 {
			sessions = nodes.Nodes[0].Sessions
		}
	}
	return x.sure("drain " + what + ctl.Extent(sessions))
}

// waitSafe asks each second until it is safe to stop, or somebody takes the drain back; the end of ctx is no error, v tells how
// far it came.
func (x act) waitSafe(ctx context.Context, target api.Target, v api.Drained) (api.Drained, error) {
	where := query("node", target.Node)
	if target.Server {
		where = query("server", "true")
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	progress := progress{w: x.cmd.ErrOrStderr(), live: isTerminal(x.cmd.ErrOrStderr())}
	defer progress.end()
	for {
		if v.Safe || !v.Draining {
			return v, nil
		}
		progress.tell(strings.TrimSuffix(ctl.Screen{}.Drained(v), "\n"))
		select {
		case <-ctx.Done():
			return v, nil
		case <-tick.C:
		}
		next, err := ctl.Get[api.Drained](ctx, x.r, api.PathDrain, where)
		if err != nil && ctx.Err() == nil {
			return v, err
		}
		if err == nil {
			v = next
		}
	}
}

// told is how often a drain tells how far it is, where that is no terminal.
const told = 5 * time.Second

// progress tells how far something is: on one line of a terminal, else in a line now and then.
type progress struct {
	w    io.Writer
	live bool
	last time.Time
	on   bool // a line of the terminal is in use
}

func (p *progress) tell(line string) {
	if p.live {
		fmt.Fprint(p.w, "\r\x1b[K"+line)
		p.on = true
		return
	}
	if now := time.Now(); now.Sub(p.last) >= told {
		fmt.Fprintln(p.w, line)
		p.last = now
	}
}

// end takes the line away: the answer comes on stdout.
func (p *progress) end() {
	if p.on {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
