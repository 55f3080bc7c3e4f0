package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/ctl"
	"github.com/patchbay-im/patchbay/internal/say"
)

// topped is what top shows, as one value of JSON.
type topped struct {
	Status api.Status `json:"status"`
	Nodes  api.Nodes  `json:"nodes"`
}

func askTop(ctx context.Context, r *ctl.Remote) (v topped, err error) {
	if v.Status, err = ctl.Get[api.Status](ctx, r, api.PathStatus, nil); err != nil {
		return v, err
	}
	v.Nodes, err = ctl.Get[api.Nodes](ctx, r, api.PathNodes, nil)
	return v, err
}

// runTop shows the nodes until a person has seen enough.
func (a *asking) runTop(cmd *cobra.Command, sort string) error {
	if err := a.checked(); err != nil {
		return err
	}
	first := slices.Index(ctl.Sorts, sort)
	if first < 0 {
		return fmt.Errorf("--sort is %s, not %q", strings.Join(ctl.Sorts, ", "), say.Clean(sort))
	}
	r, err := a.remote(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(cmd)
	defer stop()
	out := cmd.OutOrStdout()
	if a.output != asJSON && isTerminal(out) {
		return failure(a.liveTop(ctx, cmd, r, first))
	}
	return failure(repeat(ctx, func() error {
		v, err := askTop(ctx, r)
		switch {
		case err != nil:
			return err
		case a.output == asJSON:
			return encode(out, v, true)
		}
		_, err = io.WriteString(out, a.screen(out).Top(v.Status, v.Nodes, sort, 0)+"\n")
		return err
	}))
}

func (a *asking) liveTop(ctx context.Context, cmd *cobra.Command, r *ctl.Remote, first int) error {
	var sort atomic.Int64 // a key changes it while an answer is drawn
	sort.Store(int64(first))
	by := func() string { return ctl.Sorts[sort.Load()%int64(len(ctl.Sorts))] }
	return ctl.Live{In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), Every: every, Screen: a.screen(cmd.OutOrStdout()),
		Foot: func() string { return "[s] sort, now by " + by() + "   [q] quit" },
		Press: func(key string) {
			if key == "s" {
				sort.Add(1)
			}
		},
		Draw: func(ctx context.Context, s ctl.Screen, height int) (string, error) {
			v, err := askTop(ctx, r)
			if err != nil {
				return "", err
			}
			return s.Top(v.Status, v.Nodes, by(), height), nil
		}}.Run(ctx)
}
