package soak

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/patchbay-im/patchbay/component"
)

// childEnv has the address of a server: the test binary, started with it, is a node with the Go SDK, which takes orders from
// its standard input and tells on its standard output, each line by one write(2), so that a kill -9 leaves all that was told.
const childEnv = "PATCHBAY_SOAK_NODE"

func TestMain(m *testing.M) {
	addr := os.Getenv(childEnv)
	if addr == "" {
		os.Exit(m.Run())
	}
	if err := new(child).run(addr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// order is what the node is to do.
type order struct {
	N          int // its number, in the answer
	Verb       string
	ID, To     string
	Recipients []string // of a group
	Size       int      // of the body
}

// told is what the node tells: the answer to an order, or what has happened.
type told struct {
	N     int
	Error string   // of an order; the condition of an answer
	List  []string // whom the node holds. Of an answer: whom it tells of

	Event        string // "", or one of came, answered, attached and detached
	ID, To, From string
}

// child is a node in a process of its own.
type child struct {
	node    atomic.Pointer[component.Node]
	writing sync.Mutex
	taken   int // messages; owned by the handler
}

func (c *child) run(addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	log := logrus.New()
	n, err := component.Dial(ctx, component.Config{Addrs: []string{addr}, Domain: domainOf(names[acked]), Secret: secret, Users: domains,
		Handler: component.Messages(c.message, c), Log: logrus.NewEntry(log), Backoff: component.Backoff{Min: 20 * time.Millisecond, Max: 100 * time.Millisecond},
		OnReplaced: func(j jid.JID, by string) { log.Infof("%s is replaced by %s", j, by) },
		OnAttach:   func(n *component.Node) { c.node.Store(n); c.tell(told{Event: "attached"}) },
		OnDetach:   func(error) { c.tell(told{Event: "detached", List: c.holds()}) }})
	if err != nil {
		return err
	}
	defer n.Close()
	c.node.Store(n)
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var o order
		if err := json.Unmarshal(in.Bytes(), &o); err != nil {
			return err
		}
		c.obey(o)
	}
	return in.Err()
}

// tell writes a line. What it tells of has happened when it returns, whatever becomes of the process.
func (c *child) tell(x told) {
	line, err := json.Marshal(x)
	if err != nil {
		panic(err) // a struct of strings has a form
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	_, _ = os.Stdout.Write(append(line, '\n')) // nobody is left to be told
}

func (c *child) holds() (all []string) {
	for _, s := range c.node.Load().Announced() {
		all = append(all, s.JID.String())
	}
	return all
}

func (c *child) obey(o order) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := told{N: o.N}, error(nil)
	switch o.Verb {
	case "announce":
		err = c.node.Load().Announce(ctx, jid.MustParse(o.To))
	case "withdraw":
		err = c.node.Load().Withdraw(ctx, jid.MustParse(o.To))
	case "flush":
		err = c.node.Load().Flush(ctx)
	case "list":
		answer.List = c.holds()
	default:
		err = c.node.Load().Send(ctx, o.stanza())
	}
	if err != nil {
		answer.Error = err.Error()
	}
	c.tell(answer)
}

// stanza gives what an order has sent.
func (o order) stanza() xml.TokenReader {
	to := jid.MustParse(o.To)
	switch o.Verb {
	case "presence":
		return stanza.Presence{ID: o.ID, To: to}.Wrap(nil)
	case "ask":
		return stanza.IQ{ID: o.ID, To: to, Type: stanza.GetIQ}.Wrap(xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: "urn:example:q", Local: "q"}}))
	}
	m := component.Message{Message: stanza.Message{ID: o.ID, To: to, Type: stanza.ChatMessage}, Body: strings.Repeat("x", o.Size)}
	for _, one := range o.Recipients {
		m.Recipients = append(m.Recipients, jid.MustParse(one))
	}
	return m.TokenReader()
}

// The handler is slow now and then: for so long, with each so many messages.
const (
	slowEach = 50
	slowFor  = 40 * time.Millisecond
)

// message takes a message.
func (c *child) message(in component.Message) {
	x := told{Event: "came", ID: in.ID, To: in.To.String(), From: in.From.String()}
	if in.Type == stanza.ErrorMessage {
		x.Event, x.Error = "answered", string(in.Cause.Condition)
		for _, u := range in.Undelivered {
			x.List = append(x.List, u.JID.String())
		}
	}
	c.tell(x)
	work := 300 * time.Microsecond // some wait for the application when it is killed
	if c.taken++; c.taken%slowEach == 0 {
		work = slowFor
	}
	pause(context.Background(), work)
}

// HandleXMPP takes all else.
func (c *child) HandleXMPP(_ xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	has := map[string]string{}
	for _, a := range start.Attr {
		has[a.Name.Local] = a.Value
	}
	x := told{Event: "came", ID: has["id"], To: has["to"], From: has["from"]}
	switch kind := start.Name.Local; {
	case has["from"] == hub, kind == "presence" && has["type"] == "error":
		return nil
	case kind == "iq" && (has["type"] == "result" || has["type"] == "error"):
		x.Event = "answered"
	}
	c.tell(x)
	return nil
}
