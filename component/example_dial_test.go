package component_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/patchbay-im/patchbay/component"
)

// store is the node's own database: a file with a line for each message.
type store struct{ *os.File }

func openStore() store {
	file, err := os.CreateTemp("", "node1-*.messages")
	if err != nil {
		panic(err)
	}
	return store{file}
}

// save returns once the message is on disk.
func (s store) save(m component.Message) error {
	if _, err := fmt.Fprintf(s, "%s %s %s %q\n", m.ID, m.From, m.To, m.Body); err != nil {
		return err
	}
	return s.Sync()
}

// A node: alice is logged in on it. It saves each message before it goes on: its own before it is sent, that of others
// before it is answered. So whatever a crash cuts short, every message is with somebody.
func ExampleDial() {
	db := openStore()
	defer os.Remove(db.Name())
	addr, done := router() // patchbay serve listens at 127.0.0.1:5347
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	alice := jid.MustParse("alice@im.example/phone")
	say := func(node *component.Node, to jid.JID, body string) error {
		m := component.Message{Body: body, Message: stanza.Message{
			ID: component.NewID(), From: alice, To: to, Type: stanza.ChatMessage}}
		if err := db.save(m); err != nil { // save first,
			return err
		}
		return node.Send(ctx, m.TokenReader()) // then send
	}

	var self *component.Node // for the handler: Dial may not have returned when it is called first
	node, err := component.Dial(ctx, component.Config{
		Addrs:    []string{addr}, // of each server of the cluster
		Domain:   "node1.im.example",
		Secret:   component.PeerSecret,
		Users:    []string{"im.example"},
		OnAttach: func(n *component.Node) { self = n },
		Handler: component.Messages(func(m component.Message) {
			if m.Type == stanza.ErrorMessage { // the router tells why, with the id that was sent
				for _, u := range m.Undelivered {
					fmt.Println(m.ID, "did not reach", u.JID, "offline:", u.Offline)
				}
				return
			}
			if err := db.save(m); err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(m.From, "->", m.To, ":", m.Body)
			if err := say(self, m.From, "at one it is"); err != nil {
				fmt.Println(err)
			}
		}, nil),
		DialContext: savedFirst(db), // for this example: it complains of what is sent before it is saved
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer node.Close()
	if err := node.Announce(ctx, alice); err != nil { // returns when the router has it on its disk
		fmt.Println(err)
		return
	}
	if err := say(node, jid.MustParse("bob@im.example"), "lunch?"); err != nil {
		fmt.Println(err)
		return
	}
	<-done
	// Output:
	// the router has "lunch?"
	// bob@im.example/web -> alice@im.example/phone : when?
	// the router has "at one it is"
}

// router is a stand-in for one, with bob's node behind it.
func router() (addr string, done <-chan struct{}) {
	return component.ListenPeer(func(p *component.Peer) {
		p.Accept(p.Next()) // alice
		for _, answer := range []string{"<message type='chat' id='b1' from='bob@im.example/web' to='alice@im.example/phone'><body>when?</body></message>", ""} {
			body := strings.TrimSuffix(strings.TrimPrefix(p.Next().Inner, "<body>"), "</body>")
			fmt.Printf("the router has %q\n", body)
			p.Say(answer)
		}
	})
}

// guarded is a connection that looks, before a message leaves, whether the store has it, and what came before it.
type guarded struct {
	net.Conn
	db store
}

var messageID = regexp.MustCompile(`^<message[^>]* id="([^"]*)"`)

func (g guarded) Write(p []byte) (int, error) {
	if id := messageID.FindSubmatch(p); id != nil {
		saved, err := os.ReadFile(g.db.Name())
		if err != nil || !bytes.Contains(saved, append(id[1], ' ')) || bytes.Contains(p, []byte("at one")) && !bytes.Contains(saved, []byte("b1 ")) {
			fmt.Println("sent before it was saved, or before what it answers was")
		}
	}
	return g.Conn.Write(p)
}

func savedFirst(db store) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return guarded{conn, db}, err
	}
}
