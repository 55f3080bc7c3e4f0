package component

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp"
	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/disco/info"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	wire "github.com/patchbay-im/patchbay/stanza"
)

func TestAddresses(t *testing.T) {
	const ns = `<addresses xmlns="http://jabber.org/protocol/address">`
	tests := []struct {
		name string
		give xml.TokenReader
		want string
	}{
		{"bcc", Multicast(alice, bob.Bare()), ns + `<address type="bcc" jid="alice@im.example/phone"></address>` +
			`<address type="bcc" jid="bob@im.example"></address></addresses>`},
		{"all types", Addresses(Address{AddressTo, alice}, Address{AddressCC, bob}, Address{AddressBCC, erin}),
			ns + `<address type="to" jid="alice@im.example/phone"></address><address type="cc" jid="bob@im.example/web"></address>` +
				`<address type="bcc" jid="erin@im.example/phone"></address></addresses>`},
		{"in a message", Message{Body: "hi", Recipients: []jid.JID{bob}}.TokenReader(),
			`<body>hi</body>` + ns + `<address type="bcc" jid="bob@im.example/web"></address></addresses>`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name != "in a message" {
				tt.give = stanza.Message{}.Wrap(tt.give)
			}
			raw, err := encodeStanza(tt.give, "node1.im.example", DefaultMaxStanza)
			if err != nil || !strings.HasSuffix(string(raw), ">"+tt.want+"</message>") {
				t.Errorf("%s, %v\nwant %s", raw, err, tt.want)
			}
		})
	}
}

// Of a message to many a node delivers to whom it is asked to, each once, and to nobody who has got it.
func TestRecipients(t *testing.T) {
	const list = `<addresses xmlns='http://jabber.org/protocol/address'>` +
		`<address type='to' jid='alice@im.example'/><address type='cc' jid='bob@im.example/web' desc='Bob'/>` +
		`<address type='bcc' jid='erin@im.example'/><address type='bcc' jid='alice@im.example'/>` +
		`<address type='to' jid='dora@im.example' delivered='true'/><address type='cc' jid='zoe@im.example' delivered='1'/>` +
		`<address type='replyto' jid='frank@im.example'/><address type='noreply'/><address type='bcc' uri='sip:x@y.example'/>` +
		`<address type='bcc' jid='@'/><address jid='nobody@im.example'/></addresses>`
	tests := []struct{ name, to, inner, want string }{
		{"to the node", "node1.im.example", list, "[alice@im.example bob@im.example/web erin@im.example]"},
		{"to a user", "alice@im.example", list, "[]"},
		{"to a user's session", "alice@im.example/phone", list, "[]"},
		{"to a resource of the node", "node1.im.example/x", list, "[]"},
		{"none left", "node1.im.example", `<addresses xmlns='http://jabber.org/protocol/address'><address type='to' jid='a@b' delivered='true'/></addresses>`, "[]"},
		{"another namespace", "node1.im.example", strings.ReplaceAll(list, "protocol/address", "protocol/other"), "[]"},
		{"inside another element", "node1.im.example", "<x xmlns='urn:x'>" + list + "</x>", "[]"},
		{"no addresses", "node1.im.example", "<body>x</body>", "[]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := xml.NewDecoder(strings.NewReader(fmt.Sprintf("<message from='bob@im.example/web' to='%s'>%s</message>", tt.to, tt.inner)))
			tok, err := d.Token()
			if err != nil {
				t.Fatal(err)
			}
			start := tok.(xml.StartElement)
			m, err := ReadMessage(d, &start)
			if got := fmt.Sprint(m.Recipients); got != tt.want || err != nil {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}

// What disco#info says of a node: the feature if and only if it was asked for, and all that the handler has.
func TestDiscoNamesFeatures(t *testing.T) {
	more := mux.New(NSAccept, mux.Feature(nodeFeatures{"urn:x"}), mux.Ident(botIdentity{}))
	quiet := func(Message) {}
	own := mux.New(NSAccept, disco.Handle(), mux.Feature(nodeFeatures{"urn:own", wire.NSAddress}))
	tests := []struct {
		name      string
		multicast bool
		handler   xmpp.Handler
		want      []string
		not       string
	}{
		{"off", false, nil, []string{nsPing}, wire.NSAddress},
		{"on", true, nil, []string{nsPing, wire.NSAddress}, `"urn:x"`},
		{"mux", true, more, []string{nsPing, wire.NSAddress, `"urn:x"`, `category="client"`, `category="component"`}, "urn:own"},
		{"mux behind messages", true, Messages(quiet, more), []string{wire.NSAddress, `"urn:x"`, `category="client"`}, "urn:own"},
		{"mux with disco of its own", true, own, []string{"urn:own", wire.NSAddress}, nsPing},
		{"the same behind messages", true, Messages(quiet, Messages(quiet, own)), []string{"urn:own", wire.NSAddress}, nsPing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer()
				cfg := f.config()
				cfg.Multicast, cfg.Handler = tt.multicast, tt.handler
				_, l := f.attached(t, cfg)
				l.write("<iq type='get' id='i1' from='hub1.im.example' to='node1.im.example'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
				got := l.next(t)
				contains(t, got.attr("type")+got.inner, append(tt.want, "result")...)
				if strings.Contains(got.inner, tt.not) {
					t.Errorf("%s names %s", got.inner, tt.not)
				}
			})
		})
	}
}

type botIdentity struct{}

func (botIdentity) ForIdentities(_ string, f func(info.Identity) error) error {
	return f(info.Identity{Category: "client", Type: "bot"})
}

// A handler that would hide the feature is refused, rather than that copies come one by one.
func TestMulticastHidden(t *testing.T) {
	cfg := newFakeServer().config()
	cfg.Multicast, cfg.Handler = true, Messages(func(Message) {}, mux.New(NSAccept, disco.Handle()))
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), wire.NSAddress) {
		t.Errorf("got %v", err)
	}
	cfg.Multicast = false
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

// A message to many is one message to the handler.
func TestMulticastIsHandledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		var got []string
		cfg.Multicast, cfg.Handler = true, Messages(func(m Message) { got = append(got, fmt.Sprint(m.Body, m.Recipients)) }, nil)
		_, l := f.attached(t, cfg)
		l.write(`<message from='bob@im.example/web' to='node1.im.example' id='m1'><body>to all</body><addresses xmlns='http://jabber.org/protocol/address'>` +
			`<address type='bcc' jid='alice@im.example'/><address type='bcc' jid='erin@im.example'/></addresses></message>`)
		l.write(chat("bob@im.example/web", "alice@im.example/phone", "m2", "to one"))
		synctest.Wait()
		if fmt.Sprint(got) != "[to all[alice@im.example erin@im.example] to one[]]" {
			t.Errorf("got %v", got)
		}
	})
}
