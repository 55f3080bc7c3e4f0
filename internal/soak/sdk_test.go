package soak

import (
	"context"
	"encoding/xml"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/patchbay-im/patchbay/component"
)

// sdk is the member that has the Go SDK.
type sdk struct {
	*component.Node
	m    *member
	last map[*lane]int // owned by the handler
}

func newSDK(t *testing.T, m *member) *sdk {
	t.Helper()
	x := &sdk{m: m, last: map[*lane]int{}}
	ctx, cancel := context.WithTimeout(m.w.ctx, patience)
	defer cancel()
	log := logrus.New()
	log.SetOutput(&m.w.told)
	n, err := component.Dial(ctx, component.Config{Addrs: []string{m.net.Addr()}, Domain: m.name, Secret: secret, Users: domains,
		Handler: component.Messages(x.message, x), Log: logrus.NewEntry(log), Backoff: component.Backoff{Min: 20 * time.Millisecond, Max: 100 * time.Millisecond},
		OnReplaced: func(j jid.JID, by string) { log.Infof("%s is replaced by %s", j, by) },
		OnDetach:   func(error) { m.w.book.resend() },
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			m.links.Add(1)
			return new(net.Dialer).DialContext(ctx, network, addr)
		}})
	if err != nil {
		t.Fatal(err)
	}
	x.Node = n
	t.Cleanup(func() { _ = n.Close() })
	return x
}

// message takes a message.
func (x *sdk) message(in component.Message) {
	if in.Type != stanza.ErrorMessage {
		x.m.w.book.came(acked, arrival{in.ID, in.To.String(), in.From.String(), false}, x.last)
		return
	}
	var failed []string
	for _, u := range in.Undelivered {
		failed = append(failed, u.JID.String())
	}
	x.m.w.book.answered(acked, in.ID, in.From.String(), string(in.Cause.Condition), failed)
}

// HandleXMPP takes all else.
func (x *sdk) HandleXMPP(_ xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	has := map[string]string{}
	for _, a := range start.Attr {
		has[a.Name.Local] = a.Value
	}
	b := x.m.w.book
	switch kind := start.Name.Local; {
	case has["from"] == hub, kind == "presence" && has["type"] == "error":
	case kind == "iq" && (has["type"] == "result" || has["type"] == "error"):
		b.answered(acked, has["id"], has["from"], "", nil)
	default:
		b.came(acked, arrival{has["id"], has["to"], has["from"], false}, x.last)
	}
	return nil
}

// send gives stanzas to the SDK, which promises to keep the messages.
func (x *sdk) send(a act) {
	m, b := x.m, x.m.w.book
	for range a.count {
		ctx, cancel := context.WithTimeout(m.w.ctx, patience)
		id, r := x.stanza(a)
		err := x.Send(ctx, r)
		cancel()
		if err != nil {
			b.refuse("%s cannot send: %v", names[acked], err)
			return
		}
		if a.verb != "ask" && a.verb != "presence" {
			b.promised(id)
		}
	}
}

// stanza gives one stanza of an act.
func (x *sdk) stanza(a act) (id string, r xml.TokenReader) {
	to, b, kills := targets[a.whom], x.m.w.book, int(x.m.w.kills.Load())
	switch a.verb {
	case "presence":
		id = b.write(acked, "presence", to, 0, kills)
		return id, stanza.Presence{ID: id, To: jid.MustParse(to)}.Wrap(nil)
	case "ask":
		id = b.write(acked, "ask", to, 0, kills)
		return id, stanza.IQ{ID: id, To: jid.MustParse(to), Type: stanza.GetIQ}.Wrap(xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: "urn:example:q", Local: "q"}}))
	}
	m := component.Message{Message: stanza.Message{Type: stanza.ChatMessage}, Body: strings.Repeat("x", a.size)}
	if a.verb == "group" {
		all, domain := several(a.whom)
		for _, one := range all {
			m.Recipients = append(m.Recipients, jid.MustParse(one))
		}
		m.ID, m.To = b.writeGroup(acked, all, 0, kills), jid.MustParse(domain)
	} else {
		m.ID, m.To = b.write(acked, "message", to, 0, kills), jid.MustParse(to)
	}
	return m.ID, m.TokenReader()
}

// say announces or withdraws a user.
func (x *sdk) say(name string, there bool) {
	s := x.m.w.table.begin(acked, map[string]bool{name: there})
	ctx, cancel := context.WithTimeout(x.m.w.ctx, patience)
	defer cancel()
	does := x.Withdraw
	if there {
		does = x.Announce
	}
	err := does(ctx, jid.MustParse(name))
	if err != nil {
		x.m.w.book.refuse("%s cannot say that %s is there, or not (%v): %v", names[acked], name, there, err)
	}
	x.m.w.table.end(s, err == nil, nil)
}

// flush asks for the server's promise to keep what was sent.
func (x *sdk) flush() {
	at := x.m.w.book.written(acked)
	ctx, cancel := context.WithTimeout(x.m.w.ctx, patience)
	defer cancel()
	if err := x.Flush(ctx); err != nil {
		x.m.w.book.refuse("%s cannot flush: %v", names[acked], err)
		return
	}
	x.m.w.book.kept(acked, 0, at)
}
