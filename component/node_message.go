package component

import (
	"encoding/xml"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/stanza"
)

// Message is a message with the children that most nodes look at. Other children are for a mux or a Handler.
type Message struct {
	stanza.Message
	Body    string        // the first body
	Cause   *stanza.Error // of a message of type error: why it came back
	Delayed time.Time     // when it was first sent on (XEP-0203), zero if it was not held up
}

// TokenReader gives the message as tokens, with its body if it has one: what Send takes.
func (m Message) TokenReader() xml.TokenReader {
	var children []xml.TokenReader
	if m.Body != "" {
		children = append(children, Body(m.Body))
	}
	if m.Cause != nil {
		children = append(children, m.Cause.TokenReader())
	}
	return m.Message.Wrap(xmlstream.MultiReader(children...))
}

// Body gives <body>text</body>.
func Body(text string) xml.TokenReader {
	return xmlstream.Wrap(xmlstream.Token(xml.CharData(text)), xml.StartElement{Name: xml.Name{Local: "body"}})
}

// Messages gives a Handler that calls each exactly once for each message, and hands all else to next, which may be
// nil. (A mux calls a wildcard message handler once for each child of a message.)
func Messages(each func(Message), next xmpp.Handler) xmpp.Handler {
	return xmpp.HandlerFunc(func(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
		if start.Name.Local != "message" {
			if next == nil {
				return nil
			}
			return next.HandleXMPP(t, start)
		}
		m, err := ReadMessage(t, start)
		if err != nil {
			return err
		}
		each(m)
		return nil
	})
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
		Cause *stanza.Error `xml:"error"`
		Delay *struct {
			Stamp string `xml:"stamp,attr"`
		} `xml:"urn:xmpp:delay delay"`
	}
	whole := xmlstream.MultiReader(xmlstream.Token(*start), t)
	if err := xml.NewTokenDecoder(whole).Decode(&in); err != nil {
		return Message{}, err
	}
	m := Message{Message: head, Cause: in.Cause}
	if len(in.Bodies) > 0 {
		m.Body = in.Bodies[0].Text
	}
	if in.Delay != nil {
		m.Delayed, _ = time.Parse(time.RFC3339, in.Delay.Stamp) // XEP-0082; a stamp nobody can read is none
	}
	return m, nil
}
