// A node with gosrc.io/xmpp for the conformance suite to judge, in a module of its own: nothing else needs it. Arguments as in
// judged_slixmpp.py. It ends with its stream. As the library tells nobody that the server has ended that, it writes a space now
// and then, which fails once the connection has ended too.
package main

import (
	"log"
	"os"
	"time"

	"gosrc.io/xmpp"
	"gosrc.io/xmpp/stanza"
)

func main() {
	log.Fatal(run(os.Args[1], os.Args[2], os.Args[3]))
}

// run attaches, announces a user, and returns when the stream has ended.
func run(address, domain, secret string) error {
	over := make(chan error, 1)
	options := xmpp.ComponentOptions{TransportConfiguration: xmpp.TransportConfiguration{Address: address, Domain: domain}, Domain: domain, Secret: secret}
	node, err := xmpp.NewComponent(options, xmpp.NewRouter(), func(err error) {
		select {
		case over <- err:
		default:
		}
	})
	if err != nil {
		return err
	}
	if err := node.Connect(); err != nil {
		return err
	}
	user := stanza.Attrs{From: "user@im.example/judged", To: "im.example"}
	if err := node.Send(stanza.NewPresence(user)); err != nil {
		return err
	}
	alive := time.NewTicker(300 * time.Millisecond)
	defer alive.Stop()
	for {
		select {
		case err := <-over:
			return err
		case <-alive.C:
			if err := node.SendRaw(" "); err != nil {
				return err
			}
		}
	}
}
