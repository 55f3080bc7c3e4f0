package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/patchbay-im/patchbay/internal/admin"
	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/demo"
	"github.com/patchbay-im/patchbay/internal/server"
)

func newDemoCommand() *cobra.Command {
	var length time.Duration
	var plain bool
	cmd := &cobra.Command{
		Use:   "demo [--for 30s] [--plain]",
		Short: "three nodes chat across the router; watch",
		Long: "demo starts a real server on this machine and three nodes in Go that attach to it over TCP,\n" +
			"and shows what passes between them. What waits is kept in a temporary directory, which goes\n" +
			"with the demo. It serves until you press q.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if length < 0 {
				return fmt.Errorf("--for takes a time such as 30s, not %s", length)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if length > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, length)
				defer cancel()
			}
			return playDemo(ctx, demo.Options{In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), Plain: plain}, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().DurationVar(&length, "for", 0, "end after this time")
	cmd.Flags().BoolVar(&plain, "plain", false, "one line per event, as when piped")
	return cmd
}

// playDemo runs the server and the three nodes until ctx ends or the viewer quits.
func playDemo(ctx context.Context, opt demo.Options, stderr io.Writer) error {
	secret := demoSecret()
	data, err := os.MkdirTemp("", "patchbay-demo-")
	if err != nil {
		return &exitError{exitFailed, err}
	}
	defer func() { _ = os.RemoveAll(data) }() // the server has stopped
	s, a, err := demoServer(data, secret, stderr)
	if err != nil {
		return &exitError{exitFailed, err}
	}
	stage := demo.Stage{Addr: s.ComponentAddr(), Secret: string(secret), Fill: func(shot *demo.Snapshot) {
		shot.HTTP = "http://" + a.HTTPAddr()
		fill(shot, s, secret)
	}, Waits: func(node string) int {
		q := s.Router().Node(node + ".im.example").Queue()
		return int(q.Waiting + q.Unproved)
	}, Drain: func(node string, on bool) error {
		if on {
			return s.Drain(node + ".im.example")
		}
		return s.Undrain(node + ".im.example")
	}}
	play, err := stage.Start(ctx)
	if err == nil {
		err = demo.Run(ctx, play, opt)
		play.Close()
	}
	if stopErr := s.Stop(); err == nil {
		err = stopErr
	}
	a.Stop()
	if err != nil && ctx.Err() == nil {
		return &exitError{exitFailed, err}
	}
	return nil
}

func demoSecret() config.Secret {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return config.Secret("demo-" + hex.EncodeToString(b[:]))
}

// demoServer starts the server on its usual ports, or on free ones where those are taken.
func demoServer(data string, secret config.Secret, stderr io.Writer) (*server.Server, *admin.Admin, error) {
	cfg, err := config.Development(data)
	if err != nil {
		return nil, nil, err
	}
	cfg.Nodes[0].Secret = []config.Secret{secret}
	cfg.Timers.Drain = 2 * time.Second
	log := logrus.New()
	log.SetOutput(io.Discard) // the screen says what happens
	for {
		s, err := server.New(cfg, server.Options{Version: version, Log: logrus.NewEntry(log)})
		if err != nil {
			return nil, nil, err
		}
		a, err := operate(s, admin.Options{Version: version, Log: logrus.NewEntry(log)})
		if err == nil {
			return s, a, nil
		}
		_ = s.Stop()
		var used *server.InUseError
		if !errors.As(err, &used) || !freePort(cfg, used) {
			return nil, nil, err
		}
		fmt.Fprintf(stderr, "patchbay: %s is in use; the demo takes a free port instead\n", used.Addr)
	}
}

// freePort moves a listener whose port is taken to any free one; false if it is there already.
func freePort(cfg *config.Config, used *server.InUseError) bool {
	addr := &cfg.Listen.Component
	if used.Key == "listen.http" {
		addr = &cfg.Listen.HTTP
	}
	host, port, err := net.SplitHostPort(*addr)
	if err != nil || port == "0" {
		return false
	}
	*addr = net.JoinHostPort(host, "0")
	return true
}

// fill adds to a snapshot what the server knows.
func fill(shot *demo.Snapshot, s *server.Server, secret config.Secret) {
	shot.Server, shot.Component = s.Router().Server(), s.ComponentAddr()
	shot.Sessions = s.Sessions().Total()
	for i := range shot.Nodes {
		shot.Nodes[i].Grade = demo.Away
		n := s.Router().Node(shot.Nodes[i].Name + ".im.example")
		if n != nil && s.Attached(n.Domain) {
			shot.Nodes[i].Grade = n.Grade().String()
		}
		shot.Nodes[i].Draining = n != nil && n.Draining()
	}
	l := s.Ledger()
	shot.Accepted, shot.Made = l.Accepted+l.Copies, l.Made
	shot.Ends = []demo.Count{{Word: "delivered", N: l.Delivered}, {Word: "written", N: l.Written}, {Word: "served", N: l.Served}, {Word: "bounced", N: l.Bounced},
		{Word: "dropped", N: l.Dropped}, {Word: "expired", N: l.Expired}, {Word: "under way", N: l.Waiting}, {Word: "in outbox", N: l.Stored}}
	shot.Attach = "patchbay node me.im.example --secret " + string(secret)
	if _, port, _ := net.SplitHostPort(s.ComponentAddr()); port != "5347" {
		shot.Attach += " --addr " + s.ComponentAddr()
	}
}
