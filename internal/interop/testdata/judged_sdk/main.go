// A node with package component for the conformance suite to judge. Arguments as in judged_slixmpp.py. It comes back by itself, here
// within a second: the suite ends its stream some twenty times.
package main

import (
	"context"
	"log"
	"os"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/patchbay-im/patchbay/component"
)

func main() {
	log.Fatal(run(os.Args[1], os.Args[2], os.Args[3]))
}

// run attaches, announces a user, and returns when the node has been given up.
func run(address, domain, secret string) error {
	user, err := jid.Parse("user@im.example/judged")
	if err != nil {
		return err
	}
	node, err := component.Dial(context.Background(), component.Config{
		Addrs: []string{address}, Domain: domain, Secret: secret, Users: []string{"im.example"},
		Backoff: component.Backoff{Min: 200 * time.Millisecond, Max: time.Second},
		OnAttach: func(n *component.Node) { // it restates by itself what was announced before
			if len(n.Announced()) == 0 {
				log.Println("announced:", n.Announce(context.Background(), user))
			}
		},
		OnDetach: func(err error) { log.Println("detached:", err) },
	})
	if err != nil {
		return err
	}
	<-node.Done()
	return node.Close()
}
