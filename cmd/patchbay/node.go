package main

import (
	"bufio"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/patchbay-im/patchbay/component"
	wire "github.com/patchbay-im/patchbay/stanza"
)

const (
	reachTimeout = 5 * time.Second // to find the server at all; once attached, the node comes back by itself
	leaveTimeout = 5 * time.Second // to withdraw the users and to hear what became of the last lines
)

// nodeOptions are what the command line says.
type nodeOptions struct {
	domain string
	addr   string
	secret string
	users  []string
	echo   bool
}

const nodeLong = `Attach by hand: be a node, see every stanza that comes, type to send.

  patchbay node a.im.example --user alice@im.example/phone
  echo 'bob@im.example lunch at one?' | patchbay node a.im.example --user alice@im.example/phone

Each line that comes is printed on stdout, what happens to the link on stderr. You type:
` + typedHelp + `
SECRET is a literal (ps shows it to others), @FILE or env:NAME; without it PATCHBAY_SECRET counts, then
./patchbay-data/dev-secret. A pipe that ends: the node waits until the router has its lines, shows
what came back by then, and leaves; an input
without any line (</dev/null): it stays.
--echo answers chat messages with "echo: " and their body. What contains "echo: " is not answered, errors are not
either, so two echoing nodes do not talk for ever.
Exit: 0 done   1 refused   2 wrong use   3 server not reached`

const typedHelp = `  TO BODY           a chat message from the first --user
  FROM > TO BODY    the same from another user of this node
  /raw XML          one stanza as it stands
  /announce JID     log a user in       /withdraw JID    log a user out
  /help             these lines         /quit            leave (as Ctrl-C and Ctrl-D do)`

func newNodeCommand() *cobra.Command {
	var o nodeOptions
	cmd := &cobra.Command{
		Use:   "node DOMAIN [--secret SECRET] [--user JID]... [--echo]",
		Short: "attach by hand: see, type, send",
		Long:  nodeLong,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.domain = args[0]
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			h := &hand{out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), now: time.Now, reach: reachTimeout,
				sent: make(map[string]string)}
			return h.run(ctx, cmd.InOrStdin(), o)
		},
	}
	cmd.Flags().StringVar(&o.addr, "addr", "127.0.0.1:5347", "where the server listens for nodes")
	cmd.Flags().StringVar(&o.secret, "secret", "", "a literal, @FILE or env:NAME")
	cmd.Flags().StringArrayVar(&o.users, "user", nil, "log this user in; may be given more than once")
	cmd.Flags().BoolVar(&o.echo, "echo", false, "answer chat messages with what they say")
	return cmd
}

// hand is a node operated by hand.
type hand struct {
	// set once
	echo  bool
	now   func() time.Time
	reach time.Duration // how long the server may take to be found
	from  jid.JID       // of typed lines

	is atomic.Pointer[component.Node] // set by OnAttach, before the first stanza is handled

	mu    sync.Mutex        // whole lines only
	out   io.Writer         // guarded by mu
	err   io.Writer         // guarded by mu
	sent  map[string]string // guarded by mu; id -> what was typed, for the bounce
	order []string          // guarded by mu; ids of sent, oldest first
}

// run attaches, serves until the input or ctx ends, and leaves.
func (h *hand) run(ctx context.Context, in io.Reader, o nodeOptions) error {
	cfg, users, err := h.config(o)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	node, err := h.attach(ctx, cfg)
	if err != nil {
		return err
	}
	h.is.Store(node)
	defer h.leave()
	if err := h.node().Announce(ctx, users...); err != nil {
		return &exitError{exitFailed, fmt.Errorf("log the users in: %w", err)}
	}
	if len(users) > 0 {
		h.note("logged in: %s", safe(fmt.Sprint(users)))
	}
	return h.follow(ctx, in)
}

// node is the node at hand.
func (h *hand) node() *component.Node { return h.is.Load() }

// replaced tells that a session is not held here any more.
func (h *hand) replaced(j jid.JID, by string) {
	if by == "" {
		h.note("%s was logged out by an operator", safe(j.String()))
		return
	}
	h.note("%s has logged in on %s", safe(j.String()), safe(by))
}

// config turns the command line into a node's configuration.
func (h *hand) config(o nodeOptions) (component.Config, []jid.JID, error) {
	secret, err := h.secret(o.secret)
	if err != nil {
		return component.Config{}, nil, err
	}
	cfg := component.Config{Addrs: []string{o.addr}, Domain: o.domain, Secret: secret}
	var users []jid.JID
	for _, u := range o.users {
		j, err := userJID(u)
		if err != nil {
			return cfg, nil, err
		}
		users = append(users, j)
		cfg.Users = append(cfg.Users, j.Domainpart())
	}
	if err := cfg.Validate(); err != nil {
		return cfg, nil, err
	}
	h.echo = o.echo
	h.from = jid.MustParse(o.domain) // Validate has seen it
	if len(users) > 0 {
		h.from = users[0]
	}
	cfg.Handler = xmpp.HandlerFunc(h.handle)
	cfg.OnDetach = func(err error) { h.note("detached: %s; attaching again", safe(err.Error())) }
	cfg.OnAttach = func(n *component.Node) {
		h.is.Store(n)
		h.note("attached as %s to %s", n.Domain(), o.addr)
	}
	cfg.OnReplaced = h.replaced
	cfg.OnRefused = func(j jid.JID, err error) {
		h.note("%s is not logged in any more: %s", safe(j.String()), safe(err.Error()))
	}
	return cfg, users, nil
}

// userJID reads a user's address; a bare one gets a resource, for a session needs one.
func userJID(s string) (jid.JID, error) {
	j, err := jid.Parse(s)
	if err != nil {
		return j, fmt.Errorf("read user %q: %w", s, err)
	}
	if j.Localpart() == "" {
		return j, fmt.Errorf("read user %q: not user@domain/resource", s)
	}
	if j.Resourcepart() == "" {
		return j.WithResource("patchbay")
	}
	return j, nil
}

// secret finds the secret, and warns of one that others can see.
func (h *hand) secret(arg string) (string, error) {
	if arg != "" {
		secret, exposed, err := givenSecret(arg)
		if exposed {
			h.note("warning: %s", exposedWarning)
		}
		return secret, err
	}
	if v := os.Getenv("PATCHBAY_SECRET"); v != "" {
		return v, nil
	}
	s, err := readSecret(filepath.Join(defaultData, "dev-secret"))
	if errors.Is(err, os.ErrNotExist) {
		return "", errors.New("find a secret: give --secret or PATCHBAY_SECRET, or start in the directory of a development server")
	}
	return s, err
}

const exposedWarning = "a secret on the command line can be seen by others with ps; use @FILE or env:NAME"

// givenSecret is the secret that a command line means: a literal, @FILE or env:NAME. A literal is exposed, for everybody on
// the machine can read it in ps; those of dev- and demo- servers are printed on screens anyway.
func givenSecret(arg string) (secret string, exposed bool, err error) {
	if name, ok := strings.CutPrefix(arg, "@"); ok {
		secret, err = readSecret(name)
		return secret, false, err
	}
	if name, ok := strings.CutPrefix(arg, "env:"); ok {
		if v := os.Getenv(name); v != "" {
			return v, false, nil
		}
		return "", false, fmt.Errorf("find a secret: the environment has no %s", name)
	}
	return arg, !strings.HasPrefix(arg, "dev-") && !strings.HasPrefix(arg, "demo-"), nil
}

func readSecret(name string) (string, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	s := strings.TrimSpace(string(raw))
	if s == "" {
		return "", fmt.Errorf("read the secret: %s is empty", name)
	}
	return s, nil
}

// attach dials, and says what a failure means for the exit code.
func (h *hand) attach(ctx context.Context, cfg component.Config) (*component.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, h.reach)
	defer cancel()
	n, err := component.Dial(ctx, cfg)
	var refused *wire.StreamError
	var unproved *component.Failure
	switch {
	case err == nil:
		return n, nil
	case errors.As(err, &refused):
		return nil, &exitError{exitFailed, fmt.Errorf("%s was refused: %s", cfg.Domain, safe(refused.Error()))}
	case errors.As(err, &unproved):
		return nil, &exitError{exitFailed, fmt.Errorf("%s was refused: %s", cfg.Domain, safe(unproved.Error()))}
	case errors.Is(err, context.Canceled):
		return nil, &exitError{code: exitDone}
	}
	return nil, &exitError{exitNoReach, fmt.Errorf("no server at %s: %w", cfg.Addrs[0], err)}
}

// follow serves typed lines until the input ends, /quit is typed, or ctx ends.
func (h *hand) follow(ctx context.Context, in io.Reader) error {
	lines, ended := make(chan string), make(chan bool, 1)
	// Nobody waits for this one: a read from a terminal cannot be interrupted, it ends with the process.
	go readLines(ctx, in, lines, ended)
	for {
		select {
		case <-ctx.Done():
			return nil
		case typed := <-ended:
			if typed {
				h.settle(ctx)
				return nil
			}
		case line := <-lines:
			if quit := h.typed(ctx, line); quit {
				return nil
			}
		}
	}
}

// readLines passes on the lines of in, then whether the end of in means the end: an input that is a terminal or has
// had a line.
func readLines(ctx context.Context, in io.Reader, lines chan<- string, ended chan<- bool) {
	f, ok := in.(*os.File)
	typed := ok && isTerminal(f)
	s := bufio.NewScanner(in)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		typed = true
		select {
		case lines <- s.Text():
		case <-ctx.Done():
			return
		}
	}
	ended <- typed
}

// settle waits until the server has decided about everything sent so far: it keeps the order of a link, so when a
// ping to the node itself has come back, the bounces of what went before have come too.
func (h *hand) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	ping := xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: "urn:xmpp:ping", Local: "ping"}})
	if _, err := h.node().SendIQ(ctx, stanza.IQ{Type: stanza.GetIQ, To: h.node().Domain()}, ping); err != nil {
		h.note("what became of the last lines is not known: %s", safe(err.Error()))
	}
}

// leave logs the users out, so that they count as offline at once and not after the grace, and ends the stream.
func (h *hand) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	var gone []jid.JID
	for _, s := range h.node().Announced() {
		gone = append(gone, s.JID)
	}
	if err := h.node().Withdraw(ctx, gone...); err != nil {
		h.note("log the users out: %s", safe(err.Error()))
	}
	h.node().Close()
	h.note("left")
}

// typed does what one line says; true is the wish to leave.
func (h *hand) typed(ctx context.Context, line string) bool {
	verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest)
	var err error
	switch verb {
	case "":
	case "/quit":
		return true
	case "/help":
		h.write(&h.err, typedHelp+"\n")
	case "/announce", "/withdraw":
		err = h.log(ctx, verb, rest)
	case "/raw":
		err = h.node().Send(ctx, xml.NewDecoder(strings.NewReader(rest)))
	default:
		err = h.say(ctx, verb, rest)
	}
	if err != nil {
		h.note("not sent: %s", safe(err.Error()))
	}
	return false
}

func (h *hand) log(ctx context.Context, verb, user string) error {
	j, err := userJID(user)
	if err != nil {
		return err
	}
	if verb == "/announce" {
		err = h.node().Announce(ctx, j)
	} else {
		err = h.node().Withdraw(ctx, j)
	}
	if err == nil {
		h.note("%s: done", verb[1:]+" "+safe(j.String()))
	}
	return err
}

// say sends a chat message: "TO BODY" or "FROM > TO BODY".
func (h *hand) say(ctx context.Context, first, rest string) error {
	from := h.from
	if after, ok := strings.CutPrefix(rest, "> "); ok {
		var err error
		if from, err = jid.Parse(first); err != nil {
			return fmt.Errorf("read sender %q: %w", first, err)
		}
		first, rest, _ = strings.Cut(strings.TrimSpace(after), " ")
	}
	to, err := jid.Parse(first)
	switch {
	case strings.HasPrefix(first, "/"):
		return fmt.Errorf("%s is no command; /help lists them", first)
	case err != nil:
		return fmt.Errorf("read recipient %q: %w", first, err)
	case strings.TrimSpace(rest) == "":
		return errors.New("no body; a line is TO BODY, /help tells more")
	}
	return h.chat(ctx, component.Message{
		Message: stanza.Message{ID: component.NewID(), From: from, To: to, Type: stanza.ChatMessage}, Body: rest})
}

// chat sends a message and remembers it for the case that it comes back.
func (h *hand) chat(ctx context.Context, m component.Message) error {
	h.remember(m)
	if err := h.node().Send(ctx, m.TokenReader()); err != nil {
		return err
	}
	h.line(&h.err, "sent", m.From.String(), m.To.String(), quote(m.Body))
	return nil
}
