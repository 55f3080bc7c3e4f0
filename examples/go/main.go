// Go is a node made with patchbay's SDK: alice is logged in on it, greets a user, and answers whoever writes to her.
package main

import (
	"cmp"
	"context"
	"encoding/json"
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

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	alice, greet := jid.MustParse("alice@im.example/go"), jid.MustParse(append(os.Args, "bob@im.example")[1])
	secret, _ := os.ReadFile("patchbay-data/dev-secret")

	file, err := os.OpenFile("messages-go.jsonl", os.O_RDWR|os.O_CREATE|os.O_APPEND|os.O_SYNC, 0o600) // where your database goes
	check(err)
	known := map[[2]string]bool{} // what is in file, by sender and id
	for rows, row := json.NewDecoder(file), [4]string{}; rows.More(); {
		check(rows.Decode(&row))
		known[[2]string(row[:2])] = row[1] != ""
	}
	save := func(m stanza.Message, body string) {
		check(json.NewEncoder(file).Encode([]string{m.From.String(), m.ID, m.To.String(), body}))
		known[[2]string{m.From.String(), m.ID}] = m.ID != ""
		fmt.Printf("%s -> %s: %q\n", m.From, m.To, body)
	}

	var node *component.Node // as of OnAttach, which is called before anything else
	say := func(to jid.JID, body string) {
		m := stanza.Message{ID: component.NewID(), From: alice, To: to, Type: stanza.ChatMessage}
		save(m, body) // save first, then send
		check(node.Send(context.Background(), m.Wrap(component.Body(body))))
	}
	attached, err := component.Dial(ctx, component.Config{
		Addrs:  []string{cmp.Or(os.Getenv("PATCHBAY_ADDR"), "127.0.0.1:5347")},
		Domain: "go.im.example",
		Secret: cmp.Or(os.Getenv("PATCHBAY_SECRET"), strings.TrimSpace(string(secret))),
		OnAttach: func(n *component.Node) { // for the first time, or again
			node = n
			check(node.Announce(context.Background(), alice)) // returns when the router has it on its disk
			fmt.Println("announced", alice)
			say(greet, "hello from Go")
		},
		OnDetach: func(err error) { fmt.Println("link:", err) }, // the SDK attaches again
		Handler: component.Messages(func(m component.Message) {
			if m.Type == stanza.ErrorMessage { // the router tells why: what was saved is now an offline message
				why := cmp.Or(m.Cause, &stanza.Error{})
				fmt.Printf("not delivered to %s: %s: %s\n", m.From, why.Condition, why.Text["en"])
			} else if m.Body != "" && !known[[2]string{m.From.String(), m.ID}] { // a router may deliver a message again
				save(m.Message, m.Body)
				if !strings.HasPrefix(m.Body, "you said: ") { // an answer is not answered
					say(m.From, "you said: "+m.Body)
				}
			}
		}, nil), // the SDK answers pings
	})
	check(err)
	<-ctx.Done()
	check(attached.Close()) // what came before is still handled
	<-attached.Done()
}

func check(err error) {
	if err != nil && !errors.Is(err, component.ErrClosed) { // else it is asked to end
		fmt.Println("ending:", err)
		os.Exit(1)
	}
}
