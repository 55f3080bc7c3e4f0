// A node with mellium.im/xmpp for the conformance suite to judge. Arguments as in judged_slixmpp.py. It has the library's handler for
// pings, and ends with its stream.
package main

import (
	"context"
	"errors"
	"log"
	"net"
	"os"

	"mellium.im/xmpp/component"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/ping"
	"mellium.im/xmpp/stanza"
)

func main() {
	log.Fatal(run(os.Args[1], os.Args[2], os.Args[3]))
}

// run attaches, announces a user, and returns when the stream has ended.
func run(address, domain, secret string) error {
	addr, err := jid.Parse(domain)
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	node, err := component.NewSession(context.Background(), addr, []byte(secret), conn)
	if err != nil {
		return err
	}
	user := stanza.Presence{From: jid.MustParse("user@im.example/judged"), To: jid.MustParse("im.example")}
	if err := node.Send(context.Background(), user.Wrap(nil)); err != nil {
		return err
	}
	if err := node.Serve(mux.New("jabber:component:accept", ping.Handle())); err != nil {
		return err
	}
	return errors.New("the stream has ended")
}
