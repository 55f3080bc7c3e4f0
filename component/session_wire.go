package component

import (
	"context"
	"encoding/xml"
	"strconv"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	wire "github.com/patchbay-im/patchbay/stanza"
)

// sessionsPayload builds <sessions sync=”><verb jid=” priority=”/>...</sessions>.
func sessionsPayload(sync, verb string, items []item) xml.TokenReader {
	root := xml.StartElement{Name: sessionsName("sessions")}
	if sync != "" {
		root.Attr = []xml.Attr{{Name: xml.Name{Local: "sync"}, Value: sync}}
	}
	list := make([]xml.Token, 0, 2+2*len(items))
	list = append(list, root)
	for _, it := range items {
		line := xml.StartElement{Name: sessionsName(verb), Attr: []xml.Attr{{Name: xml.Name{Local: "jid"}, Value: it.key}}}
		if it.Priority != 0 {
			line.Attr = append(line.Attr,
				xml.Attr{Name: xml.Name{Local: "priority"}, Value: strconv.Itoa(int(it.Priority))})
		}
		list = append(list, line, line.End())
	}
	return &tokens{list: append(list, root.End())}
}

// askSessions sends a statement to a user domain. apply runs in stream order, then what the answer lists as replaced
// is taken out.
func (n *Node) askSessions(ctx context.Context, l *link, domain string, payload xml.TokenReader, apply func(reply),
) (reply, error) {
	to, err := jid.Parse(domain)
	if err != nil {
		return reply{}, err
	}
	return n.ask(ctx, l, request{
		iq:      stanza.IQ{Type: stanza.SetIQ, To: to},
		payload: payload,
		apply: func(rep reply) {
			apply(rep)
			if rep.err == nil {
				eachChild(rep.payload, "replaced", func(r xml.StartElement) { n.replaced(attr(r, "jid"), attr(r, "node")) })
			}
		},
	})
}

// takeReplaced reports whether a presence tells that another node took a session, or that an operator ended one held here,
// and notes it. The former comes again on a new stream, and after a sync has told it: it is no presence of the user even then.
func (n *Node) takeReplaced(in inbound) bool {
	if r, ok := topChild(in.rest, sessionsName("replaced")); ok {
		n.replaced(attr(in.start, "from"), attr(r, "node"))
		return true
	}
	_, ok := topChild(in.rest, sessionsName("kicked"))
	return ok && n.kicked(in)
}

// kicked takes out a session that an operator has ended, and withdraws it: what was stated of it while the notice was on
// its way, at a reconnect for example, would stand otherwise.
func (n *Node) kicked(in inbound) bool {
	j, err := jid.Parse(attr(in.start, "from"))
	if err != nil || !n.replaced(j.String(), "") {
		return false
	}
	bye := stanza.Presence{Type: stanza.UnavailablePresence, From: j, To: j.Domain()}
	raw, err := encodeStanza(bye.Wrap(nil), n.domain.String(), n.cfg.MaxStanza)
	if err != nil {
		return true // not met: it is one address
	}
	n.inbox.push(inbound{call: func() {
		_ = in.link.write(n.ctx, raw) // a link that has ended states nothing any more, and the next one not this session
	}})
	return true
}

// replaced takes a session out, in stream order, and tells the application in its turn.
func (n *Node) replaced(full, by string) bool {
	j, err := jid.Parse(full)
	if err != nil {
		return false
	}
	one, err := batch([]Session{{JID: j}})
	if err != nil {
		return false
	}
	if _, ok := n.held.get(one[0].domain, one[0].items[0].key); !ok {
		return false
	}
	n.held.drop(one[0])
	n.inbox.push(inbound{call: func() {
		if n.cfg.OnReplaced != nil {
			n.cfg.OnReplaced(j, by)
		}
	}})
	return true
}

// refusedItem gives the index that an error's <item n=”/> names, -1 without one.
func refusedItem(payload []xml.Token) int {
	at := -1
	eachChild(payload, "item", func(start xml.StartElement) {
		if i, err := strconv.Atoi(attr(start, "n")); err == nil && at < 0 {
			at = i
		}
	})
	return at
}

// eachChild calls f for each element of the sessions protocol with this name.
func eachChild(list []xml.Token, local string, f func(xml.StartElement)) {
	for _, tok := range list {
		if start, ok := tok.(xml.StartElement); ok && start.Name == sessionsName(local) {
			f(start)
		}
	}
}

// sessionsName names an element of the sessions protocol.
func sessionsName(local string) xml.Name { return xml.Name{Space: wire.NSSessions, Local: local} }

// empty gives an element without content.
func empty(ns, local string) xml.TokenReader {
	return xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: ns, Local: local}})
}
