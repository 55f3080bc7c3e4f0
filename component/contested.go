package component

import (
	"context"
	"encoding/xml"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// contested settles who has the sessions that were taken over while this node announced them. The notice and the
// answer do not tell which was first: the index changes at once, the answer waits for the disk. So the server is asked,
// until no notice comes between question and answer. To announce them again would take them back from where their
// users went, and to keep them on a guess would state, after the next reconnect, sessions that are long gone.
func (n *Node) contested(ctx context.Context, l *link, b statement, items []item) error {
	for _, it := range items {
		one := statement{domain: b.domain, items: []item{it}}
		for settled := false; !settled; {
			n.held.want(one) // a link that drops now restates it, and the server decides
			_, err := n.ask(ctx, l, aboutUser(stanza.GetIQ, "where", it.JID, func(rep reply) {
				settled = n.held.decide(one, rep.err != nil || n.isHere(it.JID, rep.payload))
			}))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// isHere reports whether an answer to where names this node.
func (n *Node) isHere(full jid.JID, payload []xml.Token) bool {
	here := false
	eachChild(payload, "session", func(s xml.StartElement) {
		here = here || attr(s, "resource") == full.Resourcepart() && attr(s, "node") == n.domain.String()
	})
	return here
}
