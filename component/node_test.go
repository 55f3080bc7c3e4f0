package component

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"
)

func chat(from, to, id, body string) string {
	return fmt.Sprintf(`<message type='chat' from='%s' to='%s' id='%s'><body>%s</body></message>`, from, to, id, body)
}

func TestSendWritesPlainStanza(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		n, l := f.attached(t, f.config())
		m := Message{Message: stanza.Message{From: alice, To: bob, Type: stanza.ChatMessage, ID: "m1"}, Body: "a & b"}
		if err := n.Send(t.Context(), m.TokenReader()); err != nil {
			t.Fatal(err)
		}
		got := l.next(t)
		if got.attr("xmlns") != "" || got.attr("from") != alice.String() || got.attr("id") != "m1" {
			t.Errorf("got %+v", got.start)
		}
		if got.inner != "<body>a &amp; b</body>" {
			t.Errorf("got %q", got.inner)
		}
	})
}

// A ping's answer proves that the handlers of all earlier stanzas have returned.
func TestPingIsAnsweredAfterHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		handled := 0
		cfg.Handler = Messages(func(Message) { time.Sleep(time.Second); handled++ }, nil)
		_, l := f.attached(t, cfg)
		begin := time.Now()
		for i := range 5 {
			l.write(chat("bob@im.example/web", "alice@im.example/phone", fmt.Sprint("m", i), "hi"))
		}
		l.write(`<iq type='get' id='pb-1' from='hub1.im.example' to='node1.im.example'><ping xmlns='urn:xmpp:ping'/></iq>`)
		got := l.next(t)
		if got.attr("id") != "pb-1" || got.attr("type") != "result" || got.attr("to") != "hub1.im.example" ||
			got.attr("from") != "node1.im.example" || got.inner != "" {
			t.Errorf("got %+v %q", got.start, got.inner)
		}
		if handled != 5 || time.Since(begin) < 5*time.Second {
			t.Errorf("answered after %d handlers and %s", handled, time.Since(begin))
		}
	})
}

func TestRequestsAreAnswered(t *testing.T) {
	answering := xmpp.HandlerFunc(func(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
		iq, err := stanza.NewIQ(*start)
		if err != nil || iq.Type != stanza.SetIQ {
			return err
		}
		_, err = xmlstream.Copy(t, iq.Result(nil))
		return err
	})
	failing := xmpp.HandlerFunc(func(xmlstream.TokenReadEncoder, *xml.StartElement) error { return errors.New("broken") })
	muxed := mux.New(NSAccept, mux.IQFunc(stanza.GetIQ, xml.Name{Space: "urn:x", Local: "q"},
		func(iq stanza.IQ, t xmlstream.TokenReadEncoder, _ *xml.StartElement) error {
			return t.Encode(struct {
				XMLName xml.Name `xml:"iq"`
				Type    string   `xml:"type,attr"`
				ID      string   `xml:"id,attr"`
				To      string   `xml:"to,attr"`
				Made    string   `xml:"urn:x made"`
			}{Type: "result", ID: iq.ID, To: iq.From.String(), Made: "yes"})
		}))
	tests := []struct {
		name    string
		handler xmpp.Handler
		ns      string
		typ     string
		payload string
		want    []string // parts of type and inside
	}{
		{"ping", nil, "", "get", "<ping xmlns='urn:xmpp:ping'/>", []string{"result|"}},
		{"ping in jabber:client", nil, " xmlns='jabber:client'", "get", "<ping xmlns='urn:xmpp:ping'/>", []string{"result|"}},
		{"ping, answering handler", answering, "", "get", "<ping xmlns='urn:xmpp:ping'/>", []string{"result|"}},
		{"unknown get", nil, "", "get", "<q xmlns='urn:x'/>", []string{"error|", "<service-unavailable"}},
		{"unknown set", nil, "", "set", "<q xmlns='urn:x'/>", []string{"error|", "<service-unavailable"}},
		{"no payload", nil, "", "get", "", []string{"error|", "<service-unavailable"}},
		{"handler answers", answering, "", "set", "<q xmlns='urn:x'/>", []string{"result|"}},
		{"handler does not", answering, "", "get", "<q xmlns='urn:x'/>", []string{"error|", "<service-unavailable"}},
		{"handler fails", failing, "", "get", "<q xmlns='urn:x'/>", []string{"error|", "<internal-server-error"}},
		{"mux answers", muxed, "", "get", "<q xmlns='urn:x'/>", []string{"result|", `<made xmlns="urn:x">yes</made>`}},
		{"mux does not", muxed, "", "set", "<q xmlns='urn:x'/>", []string{"error|", "<service-unavailable"}},
		{"disco", nil, "", "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>",
			[]string{"result|", `var="urn:xmpp:ping"`, `category="component"`}},
		{"disco, mux", muxed, "", "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>",
			[]string{"result|", `var="urn:xmpp:ping"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer()
				cfg := f.config()
				cfg.Handler = tt.handler
				_, l := f.attached(t, cfg)
				l.write(fmt.Sprintf("<iq%s type='%s' id='i1' from='bob@im.example/web' to='node1.im.example'>%s</iq>", tt.ns, tt.typ, tt.payload))
				got := l.next(t)
				contains(t, got.attr("type")+"|"+got.inner, tt.want...)
				if got.attr("id") != "i1" || got.attr("to") != "bob@im.example/web" || got.attr("from") != "node1.im.example" {
					t.Errorf("got %+v", got.start)
				}
				synctest.Wait()
				if len(l.got) > 0 {
					t.Errorf("and another answer: %+v", <-l.got)
				}
			})
		})
	}
}

// A handler may write to its encoder and then use every method of the node: nothing is locked while it runs.
func TestHandlerMayUseNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		attached := make(chan *Node, 1)
		cfg.OnAttach = func(n *Node) { attached <- n }
		result := make(chan error, 3)
		var n *Node
		cfg.Handler = xmpp.HandlerFunc(func(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
			m, err := ReadMessage(t, start)
			if err != nil {
				return err
			}
			out := Message{Message: stanza.Message{To: m.From, From: m.To, Type: m.Type}, Body: "one"}
			_, err = xmlstream.Copy(t, out.TokenReader())
			result <- err
			out.Body = "two"
			result <- n.Send(context.Background(), out.TokenReader())
			result <- n.Announce(context.Background(), alice)
			return nil
		})
		_, l := f.attached(t, cfg)
		n = <-attached
		l.write(chat("bob@im.example/web", "alice@im.example/phone", "m1", "hi"))
		contains(t, l.next(t).inner, "one")
		contains(t, l.next(t).inner, "two")
		l.accept(l.next(t), "")
		for range 3 {
			if err := <-result; err != nil {
				t.Error(err)
			}
		}
	})
}

// What a server sends right behind the handshake does not come before OnAttach, nor before Dial is done with the node.
func TestAttachComesFirst(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeServer()
			f.greet = chat("bob@im.example/web", "alice@im.example/phone", "m1", "hi")
			cfg := f.config()
			var got []string
			cfg.OnAttach = func(*Node) { got = append(got, "attached") }
			cfg.Handler = Messages(func(m Message) { got = append(got, m.Body) }, nil)
			f.attached(t, cfg)
			synctest.Wait()
			if s := strings.Join(got, " "); s != "attached hi" {
				t.Fatalf("got %q", s)
			}
		})
	}
}

func TestSendIQ(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		n, l := f.attached(t, f.config())
		go func() {
			s := l.next(t)
			// Another entity with the right id, and a message with it, are not the answer (CVE-2024-46957).
			l.write(fmt.Sprintf(`<iq type='result' id='%s' from='mallory@im.example/x' to='node1.im.example'><bad xmlns='urn:x'/></iq>`, s.attr("id")))
			l.write(fmt.Sprintf(`<message type='error' id='%s' from='bob@im.example/web' to='node1.im.example'/>`, s.attr("id")))
			l.accept(s, "<good xmlns='urn:x'/>")
			l.reject(l.next(t), "forbidden", "")
		}()
		r, err := n.SendIQ(t.Context(), stanza.IQ{Type: stanza.GetIQ, To: bob}, empty("urn:x", "q"))
		if err != nil {
			t.Fatal(err)
		}
		tok, err := r.Token()
		if start, ok := tok.(xml.StartElement); err != nil || !ok || start.Name.Local != "good" {
			t.Errorf("got %v %v", tok, err)
		}
		_, err = n.SendIQ(t.Context(), stanza.IQ{Type: stanza.GetIQ, To: bob}, empty("urn:x", "q"))
		if !errors.Is(err, stanza.Error{Condition: stanza.Forbidden}) {
			t.Errorf("got %v", err)
		}
	})
}

// Redelivered messages are handled once; two different messages with one id are not taken for one.
func TestRedeliveredIsHandledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		var bodies []string
		cfg.Handler = Messages(func(m Message) { bodies = append(bodies, m.Body) }, nil)
		_, l := f.attached(t, cfg)
		const delay = `<delay xmlns='urn:xmpp:delay' from='hub1.im.example' stamp='2026-11-22T14:07:31Z'>held</delay>`
		again := func(from, id, body string) string {
			return `<message type='chat' from='` + from + `' to='alice@im.example/phone' id='` + id + `'>` + delay + `<body>` + body + `</body></message>`
		}
		l.write(chat("bob@im.example/web", "alice@im.example/phone", "m1", "first"))
		l.write(chat("bob@im.example/web", "alice@im.example/phone", "m1", "same id"))
		l.write(chat("bob@im.example/web", "alice@im.example/phone", "m1", "first")) // not stamped: sent twice
		l.write(again("bob@im.example/web", "m3", "held up"))
		l.conn.Close()
		l = <-f.links
		for _, m := range []string{
			again("bob@im.example/web", "m1", "first"), // the one to drop, and the last but one
			again("erin@im.example/phone", "m1", "first"),
			again("bob@im.example/web", "m1", "new, of a client that counts from 1 again"),
			again("bob@im.example/web", "m2", "first"),
			again("bob@im.example/web", "m3", "held up"),
			`<message from='bob@im.example/web' to='alice@im.example/phone'>` + delay + `<body>no id</body></message>`,
			`<message from='bob@im.example/web' to='alice@im.example/phone'>` + delay + `<body>no id</body></message>`,
		} {
			l.write(m)
		}
		synctest.Wait()
		want := "first|same id|first|held up|first|new, of a client that counts from 1 again|first|no id|no id"
		if got := strings.Join(bodies, "|"); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

// Redelivered presence is handled once, if it has an id and no other of its addresses came since: a state that comes back is news.
func TestRedeliveredPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		var got []string
		cfg.Handler = xmpp.HandlerFunc(func(_ xmlstream.TokenReadEncoder, start *xml.StartElement) error {
			got = append(got, attr(*start, "id")+attr(*start, "type"))
			return nil
		})
		_, l := f.attached(t, cfg)
		const stamp = `<delay xmlns='urn:xmpp:delay' from='hub1.im.example' stamp='2026-11-22T14:07:31Z'/>`
		presence := func(from, rest, inner string) string {
			return `<presence from='` + from + `' to='alice@im.example/phone'` + rest + `><show>dnd</show>` + inner + `</presence>`
		}
		for _, p := range []string{
			presence("bob@im.example/web", " id='1'", ""),
			presence("erin@im.example/phone", " id='1'", ""),
			presence("erin@im.example/phone", " id='1' type='unavailable'", ""),
			presence("dave@im.example/phone", "", ""),
		} {
			l.write(p)
		}
		synctest.Wait()
		l.conn.Close()
		l = <-f.links
		got = nil
		for _, p := range []string{
			presence("bob@im.example/web", " id='1'", stamp),                             // the one to drop
			presence("erin@im.example/phone", " id='1'", stamp),                          // back again
			presence("erin@im.example/phone", " id='1' type='unavailable'", stamp),       // and gone again
			presence("erin@im.example/phone", " id='1' type='unavailable'", stamp),       // to drop
			presence("dave@im.example/phone", "", stamp),                                 // nobody knows
			presence("bob@im.example/web", " id='2'", stamp),                             // another
			presence("bob@im.example/web", " id='2'", ""),                                // not stamped: sent twice
			`<iq type='result' id='q' from='bob@im.example/web' to='node1.im.example'/>`, // an id may be used again
			`<iq type='result' id='q' from='bob@im.example/web' to='node1.im.example'/>`,
		} {
			l.write(p)
		}
		synctest.Wait()
		if s := strings.Join(got, " "); s != "1 1unavailable  2 2 qresult qresult" {
			t.Errorf("handled %q", s)
		}
	})
}

// What lies further back than the window is handled again: the window is bounded, and its oldest is forgotten first.
func TestRedeliveryWindow(t *testing.T) {
	var r recent
	r.init()
	message := func(i int, stamped bool) inbound {
		in := inbound{start: xml.StartElement{Name: xml.Name{Local: "message"}, Attr: []xml.Attr{
			{Name: xml.Name{Local: "from"}, Value: "bob@im.example/web"}, {Name: xml.Name{Local: "id"}, Value: fmt.Sprint(i)}}}}
		if stamped {
			delay := xml.StartElement{Name: xml.Name{Space: stanza.NSDelay, Local: "delay"}}
			in.rest = []xml.Token{delay, delay.End()}
		}
		return in
	}
	for i := range recentMessages + 1 {
		if r.repeated(message(i, true)) {
			t.Fatalf("message %d is taken for another", i)
		}
	}
	for _, tt := range []struct {
		i    int
		want bool
	}{{recentMessages, true}, {1, true}, {0, false}, {1, false}, {2, false}, {3, false}, {recentMessages, true}} {
		if got := r.repeated(message(tt.i, true)); got != tt.want {
			t.Errorf("message %d: repeated %v, want %v", tt.i, got, tt.want)
		}
	}
	if m := r.messages; len(m.set) != recentMessages || len(m.ring) != recentMessages {
		t.Errorf("%d and %d keys, %d is the bound", len(m.set), len(m.ring), recentMessages)
	}
}

func TestReadMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		got := make(chan Message, 2)
		cfg.Handler = Messages(func(m Message) { got <- m }, nil)
		_, l := f.attached(t, cfg)
		l.write(`<message type='error' from='im.example' to='alice@im.example/phone' id='m1'><body>hi</body><thread>x</thread>` +
			`<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>` +
			`<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no session</text></error>` +
			`<delay xmlns='urn:xmpp:delay' stamp='2026-11-22T14:07:31Z'/></message>`)
		m := <-got
		if m.Body != "hi" || m.Type != stanza.ErrorMessage || m.Cause == nil || describe(*m.Cause) != "service-unavailable: no session" {
			t.Errorf("got %+v", m)
		}
		if m.Delayed.Unix() != time.Date(2026, 11, 22, 14, 7, 31, 0, time.UTC).Unix() {
			t.Errorf("got %v", m.Delayed)
		}
		synctest.Wait()
		if len(got) > 0 {
			t.Error("a message was handed over more than once")
		}
	})
}
