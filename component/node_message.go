package component

import (
	"encoding/xml"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// Message is a message with the children that most nodes look at. Other children are for a mux or a Handler.
type Message struct {
	stanza.Message
	Body    string        // the first body
	Cause   *stanza.Error // of a message of type error, and of no other: why it came back; undefined-condition if it does not say
	Delayed time.Time     // when it was first sent on (XEP-0203), zero if it was not held up

	// Undelivered are whom a message of type error tells of, at least one: a message to many is answered by one error
	// for all whom it did not reach.
	Undelivered []Undelivered

	// Recipients are whom a message to many is for (XEP-0033). One that comes is addressed to the node, and these are
	// the users that this node is to deliver it to (Config.Multicast); in all other messages there are none, and To
	// says whom it is for. One that is sent is addressed to their user domain, and each is told only of itself, see
	// Multicast.
	Recipients []jid.JID
}

// TokenReader gives the message as tokens, with body, cause and recipients if it has them: what Send takes.
func (m Message) TokenReader() xml.TokenReader {
	var children []xml.TokenReader
	if m.Body != "" {
		children = append(children, Body(m.Body))
	}
	if m.Cause != nil {
		children = append(children, m.Cause.TokenReader())
	}
	if len(m.Recipients) > 0 {
		children = append(children, Multicast(m.Recipients...))
	}
	return m.Message.Wrap(xmlstream.MultiReader(children...))
}

// Body gives <body>text</body>.
func Body(text string) xml.TokenReader {
	return xmlstream.Wrap(xmlstream.Token(xml.CharData(text)), xml.StartElement{Name: xml.Name{Local: "body"}})
}

// Messages gives a Handler that calls each exactly once for each message, and hands all else to next, which may be
// nil. (A mux calls a wildcard message handler once for each child of a message.)
func Messages(each func(Message), next xmpp.Handler) xmpp.Handler { return messages{each, next} }

// messages keeps next in sight: its features are the node's.
type messages struct {
	each func(Message)
	next xmpp.Handler // nil: all that is no message is read and forgotten
}

// HandleXMPP hands one stanza on.
func (h messages) HandleXMPP(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	if start.Name.Local != "message" {
		if h.next == nil {
			return nil
		}
		return h.next.HandleXMPP(t, start)
	}
	m, err := ReadMessage(t, start)
	if err != nil {
		return err
	}
	h.each(m)
	return nil
}

// ReadMessage reads a message that a Handler was given: start, and from t the tokens after it.
func ReadMessage(t xml.TokenReader, start *xml.StartElement) (Message, error) {
	head, err := stanza.NewMessage(*start)
	if err != nil {
		return Message{}, err
	}
	var in struct {
		Bodies []struct {
			Text string `xml:",chardata"`
		} `xml:"body"`
		Cause *bounce `xml:"error"`
		Delay *struct {
			Stamp string `xml:"stamp,attr"`
		} `xml:"urn:xmpp:delay delay"`
		Addresses *addresses `xml:"http://jabber.org/protocol/address addresses"`
	}
	whole := xmlstream.MultiReader(xmlstream.Token(*start), t)
	if err := xml.NewTokenDecoder(whole).Decode(&in); err != nil {
		return Message{}, err
	}
	m := Message{Message: head}
	if head.Type == stanza.ErrorMessage {
		b := in.Cause.read()
		m.Cause, m.Undelivered = &b.cause, in.Addresses.failed(head.From, b)
	} else {
		m.Recipients = in.Addresses.recipients(head.To)
	}
	if len(in.Bodies) > 0 {
		m.Body = in.Bodies[0].Text
	}
	if in.Delay != nil {
		m.Delayed, _ = time.Parse(time.RFC3339, in.Delay.Stamp) // XEP-0082; a stamp nobody can read is none
	}
	return m, nil
}
