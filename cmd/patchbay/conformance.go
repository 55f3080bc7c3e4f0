package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"mellium.im/xmpp/jid"

	"github.com/patchbay-im/patchbay/conformance"
	"github.com/patchbay-im/patchbay/conformance/report"
	"github.com/patchbay-im/patchbay/internal/say"
)

const conformanceLong = `Judge any server of XEP-0114: attach to it as components, do what the RFCs speak of, and say where it does something else.

  patchbay conformance recipe prosody          what to paste into the configuration of the one that is judged
  patchbay conformance --addr 127.0.0.1:5347 --node c1.example=@c1.secret --node c2.example=@c2.secret --report out.html
  patchbay conformance ... --only C19 --wire   one rule, with what was on the wire

The components are c1, c2 and c3 of the plays, in this order; with fewer, cases are skipped, and so are cases for which
--server-domain or --users was not said. SECRET is a literal (ps shows it to others), @FILE or env:NAME. Secrets are in no report.
--profile component is XEP-0114, and what any server of it does. The others are what patchbay adds, and what others may add like
it: modern, streams with TLS, SASL and XEP-0198; sessions, users whose sessions components announce.
--only and --skip take cases (C19-charref-cr), rules (C19) and sections (C). --level names the least level: may takes MUST, SHOULD
and MAY, and is the default of component and node; policy takes also what no document asks for, and is the default of the other
profiles, and for what --only names.
--report names files; the ending says which: .tap (TAP 14), .xml (JUnit), .json (all of it, for compare), .html (a page).
--expect names a file of lines ID fail "reason": such a failure is known, and fails nothing; one that passes has changed, and does.
--update-expect rewrites it after the run; reasons and comments stay.
Words: pass   soft: permitted, though worse   fail   known: fails, as --expect says   changed: passes, though --expect says not
       skipped
Exit: 0 conforms   1 does not, or no case ran   2 wrong use   3 not reached
The plays, and what each word in them does: docs/conformance.md.`

const conformanceNodeLong = `Judge a component: play the server at --listen, let it attach as DOMAIN, and say where it does not do what the RFCs ask.

  patchbay conformance node --listen 127.0.0.1:5347 --node echo.example=@secret

Start the component within a minute, and let it attach again whenever its stream ends, as many cases end it:
  while :; do ./component; sleep 0.5; done
--level policy also asks whether it comes back by itself and, with --users, whether it announces its users.
The other flags are those of patchbay conformance.
Exit: 0 conforms   1 does not, or no case ran   2 wrong use   3 no component came`

// judging is what the command line says of a run.
type judging struct {
	addr, listen   string
	nodes          []string
	server, users  string
	profile, level string
	only, skip     []string
	list, stress   bool
	reports        []string
	expected       string // the file of expectations
	plays          string // a folder of plays
	update, wire   bool
}

func newConformanceCommand() *cobra.Command {
	j := &judging{}
	cmd := &cobra.Command{
		Use:   "conformance --addr HOST:PORT --node DOMAIN=SECRET [--node ...] [--server-domain D]",
		Short: "judge any server of XEP-0114, or a node",
		Long:  conformanceLong,
		Example: "  patchbay conformance --addr 127.0.0.1:5347 --node c1.example=@c1.secret --server-domain example --report out.html\n" +
			"  patchbay conformance --list --profile modern --level policy",
		Args: verbOf,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if j.profile == string(conformance.Node) {
				return errors.New("a node is judged by patchbay conformance node")
			}
			return j.run(cmd)
		},
	}
	f := cmd.Flags()
	f.StringVar(&j.addr, "addr", "", "where the server listens for components")
	f.StringArrayVar(&j.nodes, "node", nil, "DOMAIN=SECRET of a component that it knows; may be given up to 3 times")
	f.StringVar(&j.server, "server-domain", "", "the server's own domain")
	f.StringVar(&j.users, "users", "", "a domain whose users live on components")
	f.StringVar(&j.profile, "profile", string(conformance.Component), "component, modern or sessions")
	must(cmd.RegisterFlagCompletionFunc("profile", cobra.FixedCompletions([]string{"component", "modern", "sessions"}, cobra.ShellCompDirectiveNoFileComp)))
	j.shared(cmd)
	cmd.AddCommand(newConformanceNodeCommand(), newRecipeCommand(), newCompareCommand())
	return cmd
}

func newConformanceNodeCommand() *cobra.Command {
	j := &judging{profile: string(conformance.Node)}
	cmd := &cobra.Command{
		Use:     "node --listen HOST:PORT --node DOMAIN=SECRET",
		Short:   "judge a node: be the server that it attaches to",
		Long:    conformanceNodeLong,
		Example: "  patchbay conformance node --listen 127.0.0.1:5347 --node echo.example=@secret --report node.html",
		Args:    takes(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return j.run(cmd) },
	}
	cmd.Flags().StringVar(&j.listen, "listen", "", "where to wait for the component")
	cmd.Flags().StringArrayVar(&j.nodes, "node", nil, "DOMAIN=SECRET of the component")
	cmd.Flags().StringVar(&j.users, "users", "", "a domain whose users live on components")
	j.shared(cmd)
	return cmd
}

// shared adds the flags that both ways of judging have.
func (j *judging) shared(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&j.plays, "plays", "", "a folder of plays of your own, with a folder for each profile, instead of those of the suite")
	f.StringVar(&j.level, "level", "", "the least level: must, should, may or policy")
	f.StringSliceVar(&j.only, "only", nil, "only these cases, rules or sections")
	f.StringSliceVar(&j.skip, "skip", nil, "not these cases, rules or sections")
	f.BoolVar(&j.list, "list", false, "list the cases that would run")
	f.Bool("safe", false, "leave out what is heavy or destructive (the default)")
	f.BoolVar(&j.stress, "stress", false, "run also what is heavy or destructive; takes minutes more")
	f.StringArrayVar(&j.reports, "report", nil, "write a report: .tap, .xml, .json or .html; may be given more than once")
	f.StringVar(&j.expected, "expect", "", "the file of what is known to fail")
	f.BoolVar(&j.update, "update-expect", false, "rewrite that file after the run")
	f.BoolVar(&j.wire, "wire", false, "print what was on the wire, case by case")
	must(cmd.RegisterFlagCompletionFunc("level", cobra.FixedCompletions([]string{"must", "should", "may", "policy"}, cobra.ShellCompDirectiveNoFileComp)))
	must(cmd.RegisterFlagCompletionFunc("only", j.ids))
	must(cmd.RegisterFlagCompletionFunc("skip", j.ids))
}

// run judges.
func (j *judging) run(cmd *cobra.Command) error {
	all, err := j.cases()
	if err != nil {
		return err
	}
	if err := contradicted(cmd); err != nil {
		return err
	}
	cases, err := j.choose(all)
	if err != nil {
		return err
	}
	var target conformance.Target
	if !j.list {
		if target, err = j.target(cmd.ErrOrStderr()); err != nil {
			return err
		}
	}
	if len(cases) == 0 {
		return &exitError{exitFailed, fmt.Errorf("no case of the profile %s is left to run", j.profile)}
	}
	if j.list {
		return list(cmd.OutOrStdout(), cases)
	}
	if err := j.writable(); err != nil {
		return err
	}
	expect, err := j.expectations(cmd.ErrOrStderr(), all)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(cmd)
	defer stop()
	trial := trial{judging: j, target: target, cases: cases, all: all, expect: expect, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr()}
	return trial.run(ctx)
}

// target is whom the command line means.
func (j *judging) target(stderr io.Writer) (conformance.Target, error) {
	t := conformance.Target{Addr: j.addr, Listen: j.listen, Server: j.server, Users: j.users, Stress: j.stress}
	node := j.profile == string(conformance.Node)
	switch {
	case node && j.listen == "":
		return t, errors.New("say where the component will come: --listen HOST:PORT")
	case !node && j.addr == "":
		return t, errors.New("say whom to judge: --addr HOST:PORT")
	case len(j.nodes) == 0:
		return t, errors.New("name a component: --node DOMAIN=SECRET")
	case node && len(j.nodes) > 1:
		return t, errors.New("one component is judged: --node once")
	case len(j.nodes) > 3:
		return t, errors.New("at most 3 components play: --node up to 3 times")
	}
	if err := j.checkAddr(); err != nil {
		return t, err
	}
	warned := false
	for _, arg := range j.nodes {
		domain, given, _ := strings.Cut(arg, "=")
		if domain == "" || given == "" {
			return t, errors.New("a component is named --node DOMAIN=SECRET; SECRET is a literal, @FILE or env:NAME")
		}
		if name, err := jid.Parse(domain); err != nil || !name.Equal(name.Domain()) {
			return t, fmt.Errorf("--node DOMAIN=SECRET takes a domain, c1.example for example, not %q", say.Clean(domain))
		}
		if slices.ContainsFunc(t.Nodes, func(n conformance.NodeName) bool { return strings.EqualFold(n.Domain, domain) }) {
			return t, fmt.Errorf("%s is named twice: each --node is another component", say.Clean(domain))
		}
		secret, exposed, err := givenSecret(given)
		if err != nil {
			return t, err
		}
		if exposed && !warned {
			warned = true
			fmt.Fprintln(stderr, "patchbay: warning: "+exposedWarning)
		}
		t.Nodes = append(t.Nodes, conformance.NodeName{Domain: domain, Secret: secret})
	}
	return t, nil
}

// expectations reads the file of what is known to fail. An update may begin it, and takes out what names no case.
func (j *judging) expectations(stderr io.Writer, all []*conformance.Case) (*report.Expectations, error) {
	if j.expected == "" {
		if j.update {
			return nil, errors.New("--update-expect rewrites the file of --expect: name it")
		}
		return nil, nil
	}
	text, err := os.ReadFile(j.expected)
	if err != nil && !(j.update && errors.Is(err, os.ErrNotExist)) {
		return nil, fmt.Errorf("read what is expected: %w", err)
	}
	e, faults := report.ParseExpectations(j.expected, string(text))
	if !j.update {
		faults = append(faults, e.Unknown(all)...)
	}
	for _, f := range faults {
		fmt.Fprintln(stderr, "patchbay: "+f.Error())
	}
	if len(faults) > 0 {
		return nil, &exitError{code: exitUsage}
	}
	return e, nil
}

// trial is one run.
type trial struct {
	*judging
	target     conformance.Target
	cases, all []*conformance.Case
	expect     *report.Expectations
	out, err   io.Writer
}

func (t *trial) run(ctx context.Context) error {
	screen := &report.Screen{Out: t.out, Live: isTerminal(t.out), Colour: colour(t.out), Width: width(t.out), Wire: t.wire, Expect: t.expect}
	mask := report.NewMask(secretsOf(t.target)...)
	screen.Begin(&conformance.Run{Target: t.addr + t.listen, Profile: conformance.Profile(t.profile), Safe: !t.stress}, t.cases)
	if t.listen != "" {
		fmt.Fprintf(t.err, "patchbay: waiting for %s to attach at %s\n", t.target.Nodes[0].Domain, t.listen)
	}
	run, err := conformance.Play(ctx, t.target, t.cases, func(r conformance.Result) { screen.Result(t.expect.Judge(mask.Result(r))) })
	if err != nil {
		if screen.Live && len(run.Results) > 0 {
			fmt.Fprintln(t.out) // behind the line that was being drawn
		}
		return broken(ctx, err, mask)
	}
	run.Version = version
	run = mask.Run(run)
	if t.update {
		if screen.Expect, err = t.rewrite(run); err != nil {
			return err
		}
	}
	run = screen.Expect.JudgeRun(run)
	saved, err := t.save(run)
	screen.End(run, saved)
	if err != nil {
		return err
	}
	if !run.Conforms() {
		return &exitError{code: exitFailed}
	}
	return nil
}

// broken is what a run that did not come to its end means.
func broken(ctx context.Context, err error, mask *report.Mask) error {
	var unreached *conformance.Unreachable
	says := errors.New(safe(mask.Text(err.Error())))
	switch {
	case ctx.Err() != nil:
		return &exitError{exitFailed, errors.New("ended before all cases had run")}
	case errors.As(err, &unreached):
		return &exitError{exitNoReach, fmt.Errorf("%w%s", says, mendOf(unreached))}
	}
	return &exitError{exitFailed, says}
}

// rewrite brings the file of expectations up to what has run, and reads it again.
func (t *trial) rewrite(run *conformance.Run) (*report.Expectations, error) {
	text, added, removed := t.expect.Updated(run, t.all)
	if err := os.WriteFile(t.expected, []byte(text), 0o644); err != nil {
		return nil, &exitError{exitFailed, fmt.Errorf("write what is expected: %w", err)}
	}
	fmt.Fprintf(t.err, "patchbay: %s: %d added, %d taken out\n", t.expected, added, removed)
	e, _ := report.ParseExpectations(t.expected, text)
	return e, nil
}

func secretsOf(t conformance.Target) (all []string) {
	for _, n := range t.Nodes {
		all = append(all, n.Secret)
	}
	return all
}
