package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/ctl"
	"github.com/patchbay-im/patchbay/internal/say"
)

const ctlLong = `Ask and operate a running server over its admin API (listen.http).

  patchbay ctl status
  patchbay ctl nodes --watch
  patchbay ctl explain --from alice@im.example/phone --to bob@im.example

The server is that of --url, then of PATCHBAY_URL, then http://127.0.0.1:5280. On its own machine every question is
open, and for changes the token is found where the server says it is. From elsewhere, PATCHBAY_TOKEN is the token, @FILE
or env:NAME. A private certificate authority goes into SSL_CERT_FILE.
The answer is on stdout, everything else on stderr. Exit: 0 done   1 failed   2 wrong use   3 server not reached`

// The formats of an answer.
const (
	asTable = "table"
	asWide  = "wide"
	asJSON  = "json"
)

// asking is what the verbs of ctl share: whom to ask, and how to show the answer.
type asking struct {
	url    string
	output string
	watch  bool
	yes    bool
}

func newCtlCommand() *cobra.Command {
	a := &asking{}
	cmd := &cobra.Command{
		Use:   "ctl VERB",
		Short: "ask and operate a running server",
		Long:  ctlLong,
		Args:  verbOf,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&a.url, "url", "", "the server's admin API (PATCHBAY_URL, then "+ctl.DefaultURL+")")
	cmd.AddCommand(a.status(), a.top(), a.nodes(), a.links(), a.sessions(), a.where(), a.outcomes(),
		a.explain(), a.tap(), a.doctor(), a.drain(), a.undrain(), a.kick(), a.reload(), a.secret())
	return cmd
}

// verbOf refuses a word that is no verb of a command, and names the nearest.
func verbOf(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	said := fmt.Sprintf("%s has no verb %q", cmd.CommandPath(), say.Clean(args[0]))
	cmd.SuggestionsMinimumDistance = min(2, max(1, len(args[0])/3)) // of three letters two are another word
	near := cmd.SuggestionsFor(args[0])
	if below := underCtl(cmd, args[0]); below != "" {
		near = []string{below}
	}
	if len(near) > 0 {
		said += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return errors.New(said)
}

// underCtl is "ctl status" for status: who has just been woken leaves the ctl out. It is "" for what is no verb of ctl.
func underCtl(root *cobra.Command, word string) string {
	for _, c := range root.Commands() {
		if c.Name() != "ctl" {
			continue
		}
		for _, verb := range c.Commands() {
			if verb.Name() == word {
				return "ctl " + word
			}
		}
	}
	return ""
}

// takes says which arguments a verb has: "JID", or "[DOMAIN]" for one that may be left out.
func takes(names ...string) cobra.PositionalArgs {
	least := slices.IndexFunc(names, func(n string) bool { return strings.HasPrefix(n, "[") })
	if least < 0 {
		least = len(names)
	}
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return fmt.Errorf("%s needs %s", cmd.CommandPath(), strings.Join(names[len(args):least], " "))
		case len(args) > len(names) && len(names) == 0:
			return fmt.Errorf("%s takes no %q", cmd.CommandPath(), say.Clean(args[0]))
		case len(args) > len(names):
			return fmt.Errorf("%s takes %s only, and not %q", cmd.CommandPath(), strings.Join(names, " "), say.Clean(args[len(names)]))
		}
		return nil
	}
}

// answers adds -o to a verb.
func (a *asking) answers(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVarP(&a.output, "output", "o", asTable, "table, wide or json")
	must(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{asTable, asWide, asJSON}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// looks adds -o and --watch to a verb.
func (a *asking) looks(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&a.watch, "watch", false, "ask again each second; into a pipe one line of JSON each time")
	return a.answers(cmd)
}

// must ends the process at a mistake of this program in the making of its own verbs, which every test of them shows.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// checked looks at the flags before anybody is asked.
func (a *asking) checked() error {
	if !slices.Contains([]string{asTable, asWide, asJSON}, a.output) {
		return fmt.Errorf("-o is table, wide or json, not %q", say.Clean(a.output))
	}
	return nil
}

// remote is the server to ask.
func (a *asking) remote(stderr io.Writer) (*ctl.Remote, error) {
	token, err := ctl.ReadToken(os.Getenv("PATCHBAY_TOKEN"))
	if err != nil {
		return nil, err
	}
	return ctl.New(ctl.Options{URL: cmp.Or(a.url, os.Getenv("PATCHBAY_URL")), Token: token, Who: who(),
		Note: func(text string) { fmt.Fprintln(stderr, "patchbay: "+say.Clean(text)) }})
}

// who asks, for the server's log.
func who() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}

// screen is how answers are drawn on w.
func (a *asking) screen(w io.Writer) ctl.Screen {
	return ctl.Screen{Wide: a.output == asWide, Colour: colour(w), Zone: time.Local, Width: width(w)}
}

// width is how many columns a terminal has; 0 for what is none.
func width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !isTerminal(w) {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// untilSignal is the context of a verb: it ends at a signal.
func untilSignal(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
}

// failure gives an error of the server, or of the way to it, its exit code. Wrong use stays as it is: it is told in two
// lines. What a server says is hostile text as any other.
func failure(err error) error {
	var usage *ctl.UsageError
	var unreached *ctl.NotReachedError
	var coded *exitError
	switch {
	case err == nil, errors.As(err, &usage), errors.As(err, &coded):
		return err
	case errors.As(err, &unreached):
		return &exitError{exitNoReach, errors.New(say.Clean(err.Error()))}
	case errors.Is(err, context.Canceled):
		return &exitError{exitFailed, errors.New("ended before there was an answer")}
	}
	return &exitError{exitFailed, errors.New(say.Clean(err.Error()))}
}

// encode writes an answer as JSON: for people and scripts over several lines, or as one line.
func encode(w io.Writer, v any, oneLine bool) error {
	if !oneLine {
		return writeJSON(w, v)
	}
	to := json.NewEncoder(w)
	to.SetEscapeHTML(false)
	return to.Encode(v)
}

// look is a question and how its answer is drawn.
type look[T any] struct {
	ask  func(ctx context.Context, r *ctl.Remote) (T, error)
	draw func(s ctl.Screen, v T) string
}

// run asks once, or again and again with --watch.
func (l look[T]) run(cmd *cobra.Command, a *asking) error {
	if err := a.checked(); err != nil {
		return err
	}
	r, err := a.remote(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(cmd)
	defer stop()
	out := cmd.OutOrStdout()
	switch {
	case a.watch && isTerminal(out) && a.output != asJSON:
		return failure(l.live(ctx, cmd, a, r))
	case a.watch:
		return failure(l.lines(ctx, out, r))
	}
	v, err := l.ask(ctx, r)
	if err != nil {
		return failure(err)
	}
	return failure(l.show(out, a, v))
}

func (l look[T]) show(out io.Writer, a *asking, v T) error {
	if a.output == asJSON {
		return encode(out, v, false)
	}
	_, err := io.WriteString(out, l.draw(a.screen(out), v))
	return err
}

// every is how often a watch asks.
const every = time.Second

func (l look[T]) live(ctx context.Context, cmd *cobra.Command, a *asking, r *ctl.Remote) error {
	return ctl.Live{In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), Every: every, Screen: a.screen(cmd.OutOrStdout()),
		Foot: func() string { return "[q] quit" },
		Draw: func(ctx context.Context, s ctl.Screen, _ int) (string, error) {
			v, err := l.ask(ctx, r)
			if err != nil {
				return "", err
			}
			return l.draw(s, v), nil
		}}.Run(ctx)
}

// lines writes an answer per second until ctx ends. What reads them can tell when they stop, so a server that cannot be
// asked any more ends it.
func (l look[T]) lines(ctx context.Context, out io.Writer, r *ctl.Remote) error {
	return repeat(ctx, func() error {
		v, err := l.ask(ctx, r)
		if err != nil {
			return err
		}
		return encode(out, v, true)
	})
}

// repeat does something each second until it fails or ctx ends, which is the usual end.
func repeat(ctx context.Context, do func() error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := do(); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// domains completes the name of a node, by asking the server.
func (a *asking) domains(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	r, err := a.remote(io.Discard)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), every)
	defer cancel()
	v, err := ctl.Get[api.Nodes](ctx, r, api.PathNodes, nil)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, n := range v.Nodes {
		names = append(names, say.Clean(n.Domain))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
