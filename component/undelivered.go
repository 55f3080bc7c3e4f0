package component

import (
	"encoding/xml"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	wire "github.com/patchbay-im/patchbay/stanza"
)

// Undelivered is an address that a message did not reach.
type Undelivered struct {
	JID     jid.JID // as it was written to
	Cause   stanza.Condition
	Offline bool // the user is nowhere: the message that was saved is an offline message now
}

// bounce is the error of a message.
type bounce struct {
	cause   stanza.Error
	offline bool
}

// UnmarshalXML reads the error, and the mark that stands beside its condition.
func (b *bounce) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	rest, err := readElement(d)
	if err != nil {
		return err
	}
	b.cause, err = stanza.UnmarshalError(&tokens{list: append([]xml.Token{start}, rest...)})
	_, b.offline = topChild(rest, xml.Name{Space: wire.NSOffline, Local: "offline"})
	return err
}

// read gives the cause of an error. One that names none, or is not there at all, is undefined.
func (b *bounce) read() *bounce {
	if b == nil {
		b = &bounce{cause: stanza.Error{Type: stanza.Cancel}}
	}
	if b.cause.Condition == "" {
		b.cause.Condition = stanza.UndefinedCondition
	}
	return b
}

// failed gives what an error tells of: one to many lists the addresses, and a cause with each whose cause is another.
// The router lists those that failed; a node may send back the whole list of its copy, in which the others are marked
// as delivered (RFC 6120 8.3.1).
func (a *addresses) failed(from jid.JID, b *bounce) []Undelivered {
	var out []Undelivered
	for j, line := range a.open(from) {
		u := Undelivered{JID: j, Cause: b.cause.Condition, Offline: b.offline}
		if len(line.Causes) > 0 {
			u.Offline = false // what the error says is of the others
		}
		for _, c := range line.Causes {
			switch c.XMLName.Space {
			case wire.NSStanzas:
				u.Cause = stanza.Condition(c.XMLName.Local)
			case wire.NSOffline:
				u.Offline = true
			}
		}
		out = append(out, u)
	}
	if len(out) == 0 {
		return []Undelivered{{JID: from, Cause: b.cause.Condition, Offline: b.offline}}
	}
	return out
}
