package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/ctl"
	"github.com/patchbay-im/patchbay/internal/say"
)

func (a *asking) explain() *cobra.Command {
	var from, to, kind, kindType string
	cmd := a.looks(&cobra.Command{
		Use:   "explain --from A --to B [--type T] [--kind message|iq|presence]",
		Short: "the decision; sends nothing",
		Long: "What would become of a stanza, and why: the questions that the router asks, the answer of each, and the verdict.\n" +
			"It is made by the same code that routes. Nothing is sent.",
		Example: "  patchbay ctl explain --from alice@im.example/phone --to bob@im.example --type chat\n" +
			"  patchbay ctl explain --kind iq --type get --from node1.im.example --to bob@im.example/web",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := query("from", from, "to", to, "kind", kind, "type", kindType)
			return look[api.Explanation]{reads[api.Explanation](api.PathExplain, q), ctl.Screen.Explain}.run(cmd, a)
		},
	})
	cmd.Flags().StringVar(&from, "from", "", "who would send it")
	cmd.Flags().StringVar(&to, "to", "", "whom it would be for")
	cmd.Flags().StringVar(&kindType, "type", "", "type of the stanza: chat, get, unavailable, ...")
	cmd.Flags().StringVar(&kind, "kind", "message", "message, iq or presence")
	must(errors.Join(cmd.MarkFlagRequired("from"), cmd.MarkFlagRequired("to"),
		cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions([]string{"message", "iq", "presence"}, cobra.ShellCompDirectiveNoFileComp))))
	return cmd
}

func (a *asking) tap() *cobra.Command {
	var span time.Duration
	var most int
	var body bool
	cmd := a.answers(&cobra.Command{
		Use:   "tap [JID|DOMAIN]",
		Short: "passing stanzas, headers only [--for 1m] [--count N] [--body]",
		Long: "Stanzas as they pass, with what became of each: their headers only. JID or DOMAIN picks those from or to it.\n" +
			"It asks for the token, and the server logs who taps. --body shows whole stanzas; it needs admin.tap_bodies: true in\n" +
			"the configuration, and whoever reads other people's messages may have to answer for it to the law.\n" +
			"A tap never slows the router down: what it is too slow to read is counted and not shown.",
		Example: "  patchbay ctl tap bob@im.example --for 1m\n  patchbay ctl tap --count 100 -o json | jq -r .action | sort | uniq -c",
		Args:    takes("[JID|DOMAIN]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case most < 0:
				return fmt.Errorf("--count is 1 or more, not %d", most)
			case span < 0:
				return fmt.Errorf("--for is 1s or more, not %s", span)
			}
			pairs := []string{"match", cmp.Or(append(args, "")...)}
			if span > 0 {
				pairs = append(pairs, "for", span.String())
			}
			if most > 0 {
				pairs = append(pairs, "count", strconv.Itoa(most))
			}
			if body {
				pairs = append(pairs, "body", "true")
			}
			return a.runTap(cmd, pairs)
		},
	})
	cmd.Flags().DurationVar(&span, "for", 0, "end after so long")
	cmd.Flags().IntVar(&most, "count", 0, "end after so many")
	cmd.Flags().BoolVar(&body, "body", false, "show whole stanzas (admin.tap_bodies)")
	return cmd
}

// runTap shows stanzas until the server, a signal or the reader of the pipe ends it.
func (a *asking) runTap(cmd *cobra.Command, pairs []string) error {
	if err := a.checked(); err != nil {
		return err
	}
	stderr, out := cmd.ErrOrStderr(), cmd.OutOrStdout()
	r, err := a.remote(stderr)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(cmd)
	defer stop()
	fmt.Fprintf(stderr, "%s taps %s; the server logs it. End: Ctrl-C\n", say.Clean(who()), r.URL())
	screen := a.screen(out)
	shown, lost := uint64(0), uint64(0)
	err = ctl.Stream(ctx, r, api.PathTap, query(pairs...), func(v api.Tapped) error {
		shown, lost = shown+1, lost+v.Lost
		if a.output == asJSON {
			return encode(out, v, true)
		}
		_, err := io.WriteString(out, screen.Tapped(v))
		return err
	})
	if err == nil || errors.Is(err, context.Canceled) {
		err = nil
		fmt.Fprintf(stderr, "stanzas shown: %d, passed over: %d\n", shown, lost)
	}
	return failure(err)
}

// The formats of doctor.
const (
	asText   = "text"
	asNagios = "nagios"
)

func (a *asking) doctor() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "doctor [-o text|json|nagios]",
		Short: "self-check of the running system and what to do",
		Long: "The server looks at itself: the account of stanzas, nodes that are away or slow, disk, certificates, and more; each with\n" +
			"what to do. It ends with 1 if a check failed, with 0 on warnings.\n" +
			"-o nagios is for monitoring that runs plugins: one line, and the exit codes of that contract, which are others than\n" +
			"patchbay's own: 0 ok, 1 warning, 2 critical, 3 unknown (also when the server is not reached).",
		Example: "  patchbay ctl doctor\n  patchbay ctl doctor -o nagios",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch output {
			case asText, asJSON, asWide, asTable:
				return a.runDoctor(cmd, output)
			case asNagios:
				return a.runNagios(cmd)
			}
			return fmt.Errorf("-o is text, json or nagios, not %q", say.Clean(output))
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", asText, "text, json or nagios")
	must(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{asText, asJSON, asNagios}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

func (a *asking) askDoctor(cmd *cobra.Command) (api.Doctor, error) {
	r, err := a.remote(cmd.ErrOrStderr())
	if err != nil {
		return api.Doctor{}, err
	}
	ctx, stop := untilSignal(cmd)
	defer stop()
	return ctl.Get[api.Doctor](ctx, r, api.PathDoctor, nil)
}

func (a *asking) runDoctor(cmd *cobra.Command, output string) error {
	v, err := a.askDoctor(cmd)
	if err != nil {
		return failure(err)
	}
	out := cmd.OutOrStdout()
	if output == asJSON {
		err = encode(out, v, false)
	} else {
		_, err = io.WriteString(out, a.screen(out).Doctor(v))
	}
	if err == nil && v.State != api.OK && v.State != api.Warning {
		return &exitError{code: exitFailed}
	}
	return failure(err)
}

// runNagios keeps the contract of monitoring plugins, whose exit codes are others than ours.
func (a *asking) runNagios(cmd *cobra.Command) error {
	v, err := a.askDoctor(cmd)
	line, code := "", ctl.NagiosUnknown
	if err != nil {
		line = ctl.NagiosUnreached(err)
	} else {
		line, code = ctl.Nagios(v)
	}
	if _, err := io.WriteString(cmd.OutOrStdout(), line); err != nil {
		return failure(err)
	}
	if code == ctl.NagiosOK {
		return nil
	}
	return &exitError{code: code}
}
