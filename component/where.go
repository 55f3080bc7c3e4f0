package component

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"strconv"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// Location is one session of a user, wherever it is.
type Location struct {
	JID      jid.JID // full
	Node     string  // domain of the node that has it
	Server   string  // address of the server that the node is attached to
	Priority int8    // RFC 6121 4.7.2.3
	Since    time.Time
	Away     bool // the node's link has dropped; it may still come back
}

// Where gives the sessions of a user, or of a full JID the one, in no order. None means that the user is offline. A
// server that does not know yet, soon after its start, says so by the stanza error remote-server-timeout. A link that
// drops meanwhile is no error, the question is asked again.
func (n *Node) Where(ctx context.Context, who jid.JID) ([]Location, error) {
	if who.Localpart() == "" {
		return nil, fmt.Errorf("where: %s is not the address of a user", who)
	}
	for {
		l, err := n.awaitAnswers(ctx)
		if err != nil {
			return nil, fmt.Errorf("where: %w", err)
		}
		rep, err := n.ask(ctx, l, aboutUser(stanza.GetIQ, "where", who, nil))
		switch {
		case errors.Is(err, errLinkEnded):
			continue
		case err != nil:
			return nil, fmt.Errorf("where: %w", err)
		case rep.err != nil:
			return nil, fmt.Errorf("where is %s: %w", who, described{*rep.err})
		}
		return readLocations(who.Bare(), rep.payload)
	}
}

// aboutUser is a request of the sessions protocol that names one user. apply may be nil: then an answer that comes when
// nobody waits for it any more is read and forgotten. It is not one for the handler.
func aboutUser(typ stanza.IQType, verb string, who jid.JID, apply func(reply)) request {
	if apply == nil {
		apply = func(reply) {}
	}
	start := xml.StartElement{Name: sessionsName(verb), Attr: []xml.Attr{{Name: xml.Name{Local: "jid"}, Value: who.String()}}}
	return request{iq: stanza.IQ{Type: typ, To: who.Domain()}, payload: xmlstream.Wrap(nil, start), apply: apply}
}

// readLocations reads the answer to where.
func readLocations(bare jid.JID, payload []xml.Token) ([]Location, error) {
	var out []Location
	var bad error
	eachChild(payload, "session", func(start xml.StartElement) {
		full, err := bare.WithResource(attr(start, "resource"))
		if err == nil && full.Resourcepart() == "" {
			err = errors.New("a session has no resource")
		}
		if err != nil {
			bad = fmt.Errorf("where: read the answer: %w", err)
			return
		}
		out = append(out, readLocation(full, start))
	})
	if bad != nil {
		return nil, bad
	}
	return out, nil
}

// readLocation reads <session/>. What cannot be read is zero: a session is one also if it does not say since when.
func readLocation(full jid.JID, start xml.StartElement) Location {
	priority, _ := strconv.ParseInt(attr(start, "priority"), 10, 8)
	since, _ := time.Parse(time.RFC3339, attr(start, "since"))
	return Location{
		JID: full, Node: attr(start, "node"), Server: attr(start, "server"),
		Priority: int8(priority), Since: since, Away: attr(start, "state") == "away",
	}
}
