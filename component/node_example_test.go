package component_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/patchbay-im/patchbay/component"
)

// A node: alice is logged in on it, what comes for her is printed, and one message is sent.
func ExampleDial() {
	ctx := context.Background()
	alice := jid.MustParse("alice@im.example/phone")
	node, err := component.Dial(ctx, component.Config{
		Addrs:  []string{"127.0.0.1:5347"},
		Domain: "node1.im.example",
		Secret: os.Getenv("PATCHBAY_SECRET"),
		Users:  []string{"im.example"},
		Handler: component.Messages(func(m component.Message) {
			if m.Cause != nil { // the router tells why, with the id that was sent
				fmt.Println(m.ID, "not delivered:", m.Cause.Condition)
				return
			}
			fmt.Println(m.From, "->", m.To, ":", m.Body)
		}, nil),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer node.Close()
	if err := node.Announce(ctx, alice); err != nil {
		fmt.Println(err)
		return
	}
	m := component.Message{Body: "hello", Message: stanza.Message{
		ID: component.NewID(), From: alice, To: jid.MustParse("bob@im.example"), Type: stanza.ChatMessage}}
	// Save m to your own database here, then send it.
	if err := node.Send(ctx, m.TokenReader()); err != nil {
		fmt.Println(err)
		return
	}
}

func ExampleNode_Announce() {
	var node *component.Node // from component.Dial
	err := node.AnnounceWith(context.Background(), []component.Session{
		{JID: jid.MustParse("alice@im.example/phone")},
		{JID: jid.MustParse("bob@im.example/web"), Priority: -1},
	})
	var item *component.ItemError
	if errors.As(err, &item) {
		fmt.Println(item.JID, "was refused:", item.Cause.Condition)
	}
}
