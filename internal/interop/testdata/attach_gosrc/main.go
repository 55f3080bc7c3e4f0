// Attaches with gosrc.io/xmpp, in a module of its own: nothing else needs it. Arguments and words as in attach_slixmpp.py.
package main

import (
	"fmt"
	"os"

	"gosrc.io/xmpp"
	"gosrc.io/xmpp/stanza"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Println("fault", err)
		os.Exit(1)
	}
}

func run(address, domain, secret string) error {
	over := make(chan error, 1)
	router := xmpp.NewRouter()
	router.HandleFunc("message", func(node xmpp.Sender, p stanza.Packet) {
		m, ok := p.(stanza.Message)
		if !ok {
			return
		}
		body := m.Body
		if body == "" {
			body = "-"
		}
		fmt.Println("got", m.Id, body)
		attrs := stanza.Attrs{Id: "re-" + m.Id, From: domain, To: m.From, Type: stanza.MessageTypeChat}
		err := node.Send(stanza.Message{Attrs: attrs, Body: "heard " + m.Id})
		if err != nil || m.Id == "last" {
			over <- err
		}
	})
	options := xmpp.ComponentOptions{TransportConfiguration: xmpp.TransportConfiguration{Address: address, Domain: domain}, Domain: domain, Secret: secret}
	node, err := xmpp.NewComponent(options, router, func(err error) { over <- err })
	if err != nil {
		return err
	}
	if err := node.Connect(); err != nil {
		return err
	}
	fmt.Println("attached")
	if err := <-over; err != nil {
		return err
	}
	return node.Disconnect()
}
