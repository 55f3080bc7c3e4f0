// Attaches with mellium.im/xmpp. Arguments and words as in attach_slixmpp.py.
package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"net"
	"os"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/component"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

type message struct {
	stanza.Message
	Body string `xml:"body"`
}

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Println("fault", err)
		os.Exit(1)
	}
}

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
	fmt.Println("attached")
	last := make(chan struct{})
	served := make(chan error, 1)
	go func() {
		served <- node.Serve(xmpp.HandlerFunc(func(r xmlstream.TokenReadEncoder, start *xml.StartElement) error {
			if start.Name.Local != "message" {
				return nil
			}
			return hear(addr, r, start, last)
		}))
	}()
	select {
	case err = <-served:
		return fmt.Errorf("the stream has ended: %w", err)
	case <-last: // a handler cannot end the stream: it holds the writer
	}
	if err := node.Close(); err != nil {
		return err
	}
	if err := <-served; err != nil {
		return err
	}
	return conn.Close()
}

// hear answers a message, and closes last behind the last.
func hear(addr jid.JID, r xmlstream.TokenReadEncoder, start *xml.StartElement, last chan struct{}) error {
	var m message
	if err := xml.NewTokenDecoder(xmlstream.Wrap(r, *start)).Decode(&m); err != nil {
		return err
	}
	if m.Body == "" {
		m.Body = "-"
	}
	fmt.Println("got", m.ID, m.Body)
	answer := stanza.Message{ID: "re-" + m.ID, From: addr, To: m.From, Type: stanza.ChatMessage}
	body := xmlstream.Wrap(xmlstream.Token(xml.CharData("heard "+m.ID)), xml.StartElement{Name: xml.Name{Local: "body"}})
	if _, err := xmlstream.Copy(r, answer.Wrap(body)); err != nil {
		return err
	}
	if m.ID == "last" {
		close(last)
	}
	return nil
}
