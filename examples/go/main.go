// Go is a node made with patchbay's SDK: alice is logged in on it, greets a user, and answers whoever writes to her.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/patchbay-im/patchbay/component"
)

var alice, ctx = jid.MustParse("alice@im.example/go"), context.Background()

func main() {
	stopped, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	messages := openStore("messages-go.jsonl")
	greet := jid.MustParse(append(os.Args, "bob@im.example")[1])
	secret, _ := os.ReadFile("patchbay-data/dev-secret")
	attached, inbox := make(chan *component.Node), make(chan component.Message)
	node, err := component.Dial(stopped, component.Config{
		Addrs:    []string{cmp.Or(os.Getenv("PATCHBAY_ADDR"), "127.0.0.1:5347")},
		Domain:   "go.im.example",
		Secret:   cmp.Or(os.Getenv("PATCHBAY_SECRET"), strings.TrimSpace(string(secret))),
		Handler:  component.Messages(func(m component.Message) { inbox <- m }, nil), // the SDK answers pings
		OnAttach: func(n *component.Node) { attached <- n },
		OnDetach: func(err error) { fmt.Println("link:", err) }, // the SDK attaches again
	})
	check(err)
	if node == nil {
		return
	}
	say := func(to jid.JID, body string) {
		m := component.Message{Body: body, Message: stanza.Message{ID: component.NewID(), From: alice, To: to, Type: stanza.ChatMessage}}
		messages.save(m) // save first, then send
		check(node.Send(ctx, m.TokenReader()))
	}
	for {
		select {
		case <-attached: // for the first time, or again
			check(node.Announce(ctx, alice)) // returns when the router has it on its disk
			fmt.Println("announced", alice)
			say(greet, "hello from Go")
		case m := <-inbox:
			if m.Type == stanza.ErrorMessage { // the router tells why: what was saved is now an offline message
				why := cmp.Or(m.Cause, &stanza.Error{})
				fmt.Printf("not delivered to %s: %s: %s\n", m.From, why.Condition, why.Text["en"])
			} else if m.Body != "" && messages.save(m) && !strings.HasPrefix(m.Body, "you said: ") { // new, and no answer itself
				say(m.From, "you said: "+m.Body)
			}
		case <-stopped.Done(): // asked to end: the stream is closed, what came before is still handled
			stopped = ctx
			check(node.Close())
		case <-node.Done():
			return
		}
	}
}

func check(err error) {
	if err != nil && !errors.Is(err, component.ErrClosed) && !errors.Is(err, context.Canceled) { // else it is asked to end
		fmt.Println("ending:", err)
		os.Exit(1)
	}
}
