package component_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/version"

	"github.com/patchbay-im/patchbay/component"
)

// config is a node's configuration; Handler and the callbacks are the examples' own.
func config(addr string) component.Config {
	return component.Config{Addrs: []string{addr}, Domain: "node1.im.example", Secret: component.PeerSecret, Users: []string{"im.example"}}
}

// Messages take all messages, a mux of the mellium library the rest: one of its own handlers, and one written here.
func ExampleMessages() {
	addr, done := component.ListenPeer(func(p *component.Peer) {
		p.Say("<message from='bob@im.example/web' to='alice@im.example/phone'><body>hi</body></message>")
		for _, query := range []string{"<query xmlns='jabber:iq:version'/>", "<time xmlns='urn:example:clock'/>", "<other xmlns='urn:example:clock'/>"} {
			p.Say("<iq type='get' id='q1' from='bob@im.example/web' to='node1.im.example'>" + query + "</iq>")
			fmt.Println(p.Next().Inner)
		}
	})
	clock := func(iq stanza.IQ, t xmlstream.TokenReadEncoder, _ *xml.StartElement) error {
		_, err := xmlstream.Copy(t, iq.Result(xmlstream.Wrap(xmlstream.Token(xml.CharData("noon")),
			xml.StartElement{Name: xml.Name{Space: "urn:example:clock", Local: "time"}})))
		return err
	}
	cfg := config(addr)
	cfg.Handler = component.Messages(
		func(m component.Message) { fmt.Println(m.From, "->", m.To, ":", m.Body) },
		mux.New(component.NSAccept,
			version.Handle(version.Query{Name: "my node", Version: "1.2"}),
			mux.IQFunc(stanza.GetIQ, xml.Name{Space: "urn:example:clock", Local: "time"}, clock),
		))
	node, err := component.Dial(context.Background(), cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer node.Close()
	<-done
	// Output:
	// bob@im.example/web -> alice@im.example/phone : hi
	// <query xmlns="jabber:iq:version"><name>my node</name><version>1.2</version></query>
	// <time xmlns="urn:example:clock">noon</time>
	// <error type="cancel"><service-unavailable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"></service-unavailable></error>
}

// One message to many leaves the node once, and comes to a node with Config.Multicast once for all of its users.
func ExampleMulticast() {
	addr, done := component.ListenPeer(func(p *component.Peer) {
		m := p.Next()
		fmt.Println("to", m.To, m.Inner)
		p.Say(`<message from='bob@im.example/web' to='node1.im.example' id='g1'><body>all well?</body><addresses xmlns='http://jabber.org/protocol/address'>` +
			`<address type='bcc' jid='alice@im.example'/><address type='bcc' jid='erin@im.example'/></addresses></message>`)
		fmt.Println(p.Next().Inner)
	})
	cfg := config(addr)
	cfg.Multicast = true
	var self *component.Node
	cfg.OnAttach = func(n *component.Node) { self = n }
	cfg.Handler = component.Messages(func(m component.Message) {
		for _, user := range m.Recipients {
			fmt.Println(m.From, "->", user, ":", m.Body)
		}
		back := component.Message{Body: "yes", Message: stanza.Message{From: m.Recipients[0], To: m.From}}
		if err := self.Send(context.Background(), back.TokenReader()); err != nil {
			fmt.Println(err)
		}
	}, nil)
	node, err := component.Dial(context.Background(), cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer node.Close()
	group := component.Message{
		Message:    stanza.Message{From: jid.MustParse("alice@im.example/phone"), To: jid.MustParse("im.example")},
		Body:       "hello all",
		Recipients: []jid.JID{jid.MustParse("bob@im.example"), jid.MustParse("carol@im.example")},
	}
	if err := node.Send(context.Background(), group.TokenReader()); err != nil {
		fmt.Println(err)
		return
	}
	<-done
	// Output:
	// to im.example <body>hello all</body><addresses xmlns="http://jabber.org/protocol/address"><address type="bcc" jid="bob@im.example"></address><address type="bcc" jid="carol@im.example"></address></addresses>
	// bob@im.example/web -> alice@im.example : all well?
	// bob@im.example/web -> erin@im.example : all well?
	// <body>yes</body>
}

// What is told counts until the link drops; the next one tells anew.
func ExampleNode_Watch() {
	addr, done := component.ListenPeer(func(p *component.Peer) {
		p.Accept(p.Next())
		for _, said := range []string{"", " type='unavailable'"} {
			p.Say("<presence from='bob@im.example/web' to='node1.im.example'" + said + "><session xmlns='urn:patchbay:sessions:1'" +
				" node='node2.im.example' server='hub1.im.example' priority='0' since='2026-11-22T14:07:31Z' why='withdrawn'/></presence>")
		}
		p.Say("<iq type='get' id='last' from='hub1.im.example' to='node1.im.example'><ping xmlns='urn:xmpp:ping'/></iq>")
		p.Next()
	})
	online := make(map[string]string) // used by the callbacks alone, which run one after the other
	cfg := config(addr)
	cfg.OnDetach = func(error) { clear(online) }
	cfg.OnSession = func(s component.Located) {
		if s.Ended {
			delete(online, s.JID.String())
		} else {
			online[s.JID.String()] = s.Node
		}
		fmt.Println(online)
	}
	node, err := component.Dial(context.Background(), cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer node.Close()
	if err := node.Watch(context.Background(), jid.MustParse("bob@im.example")); err != nil {
		fmt.Println(err)
		return
	}
	<-done
	// Output:
	// map[bob@im.example/web:node2.im.example]
	// map[]
}

func ExampleNode_Announce() {
	addr, _ := component.ListenPeer(func(p *component.Peer) {
		s := p.Next()
		fmt.Println("to", s.To, s.Inner)
		p.Say("<iq type='error' from='im.example' to='node1.im.example' id='" + s.ID + "'><error type='auth'>" +
			"<forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><item xmlns='urn:patchbay:sessions:1' n='1'/></error></iq>")
	})
	node, err := component.Dial(context.Background(), config(addr))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer node.Close()
	err = node.AnnounceWith(context.Background(), []component.Session{
		{JID: jid.MustParse("alice@im.example/phone")},
		{JID: jid.MustParse("bob@im.example/web"), Priority: -1},
	})
	var item *component.ItemError
	if errors.As(err, &item) {
		fmt.Println(item.JID, "was refused:", item.Cause.Condition)
	}
	// Output:
	// to im.example <sessions xmlns="urn:patchbay:sessions:1"><announce jid="alice@im.example/phone"></announce><announce jid="bob@im.example/web" priority="-1"></announce></sessions>
	// bob@im.example/web was refused: forbidden
}
