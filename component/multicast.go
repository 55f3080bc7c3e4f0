package component

import (
	"encoding/xml"
	"errors"
	"iter"

	"mellium.im/xmpp"
	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/disco/info"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	wire "github.com/patchbay-im/patchbay/stanza"
)

// AddressType says what an address of a message to many is (XEP-0033 section 4.6).
type AddressType string

// The types of addresses that a message is delivered to.
const (
	AddressTo  AddressType = "to"  // told to all who get the message
	AddressCC  AddressType = "cc"  // told to all who get the message
	AddressBCC AddressType = "bcc" // told to nobody else
)

// Address is one address of a message to many.
type Address struct {
	Type AddressType
	JID  jid.JID
}

// Addresses gives <addresses/> (XEP-0033 section 4), the child that makes a message to a bare user domain one to many.
// The router delivers to each address; what cannot be delivered comes back in one error. A server takes as many as its
// limits.addresses says, 2000 unless told otherwise; send several messages to more.
//
// Every copy names all addresses of type to and cc, so n of them cost n copies of n addresses and tell everybody who
// else is in the group. Multicast does neither.
func Addresses(list ...Address) xml.TokenReader {
	root := xml.StartElement{Name: xml.Name{Space: wire.NSAddress, Local: "addresses"}}
	out := make([]xml.Token, 0, 2+2*len(list))
	out = append(out, root)
	for _, a := range list {
		line := xml.StartElement{Name: xml.Name{Space: wire.NSAddress, Local: "address"}, Attr: []xml.Attr{
			{Name: xml.Name{Local: "type"}, Value: string(a.Type)},
			{Name: xml.Name{Local: "jid"}, Value: a.JID.String()},
		}}
		out = append(out, line, line.End())
	}
	return &tokens{list: append(out, root.End())}
}

// Multicast gives Addresses of type bcc: each node gets the addresses of its own users and no others, in one copy.
func Multicast(to ...jid.JID) xml.TokenReader {
	list := make([]Address, len(to))
	for i, j := range to {
		list[i] = Address{Type: AddressBCC, JID: j}
	}
	return Addresses(list...)
}

// addresses is what a message says of its recipients.
type addresses struct {
	List []addressLine `xml:"http://jabber.org/protocol/address address"`
}

type addressLine struct {
	Type      AddressType                  `xml:"type,attr"`
	JID       string                       `xml:"jid,attr"`
	Delivered string                       `xml:"delivered,attr"`
	Causes    []struct{ XMLName xml.Name } `xml:",any"` // in an error
}

// open gives the addresses that nobody has delivered to yet, each once: of type to, cc and bcc, in a message to or from
// a bare domain (XEP-0033 section 3). In one to a user they tell who else got it.
func (a *addresses) open(domain jid.JID) iter.Seq2[jid.JID, addressLine] {
	return func(yield func(jid.JID, addressLine) bool) {
		if a == nil || domain.Localpart() != "" || domain.Resourcepart() != "" {
			return
		}
		seen := make(map[string]struct{}, len(a.List))
		for _, line := range a.List {
			j, err := jid.Parse(line.JID)
			_, twice := seen[j.String()]
			wanted := line.Type == AddressTo || line.Type == AddressCC || line.Type == AddressBCC
			if err != nil || twice || !wanted || line.Delivered == "true" || line.Delivered == "1" {
				continue
			}
			seen[j.String()] = struct{}{}
			if !yield(j, line) {
				return
			}
		}
	}
}

// recipients gives the addresses that are left to whoever got the message.
func (a *addresses) recipients(to jid.JID) []jid.JID {
	var out []jid.JID
	for j := range a.open(to) {
		out = append(out, j)
	}
	return out
}

// validateMulticast refuses a handler that would hide the feature: then every user's copy would come by itself, and
// nobody would see why.
func (c *Config) validateMulticast() error {
	m := muxOf(c.Handler)
	if !c.Multicast || m == nil || !answersInfo(m) {
		return nil
	}
	named := false
	err := m.ForFeatures("", func(f info.Feature) error {
		named = named || f.Var == wire.NSAddress
		return nil
	})
	if err == nil && !named {
		err = errors.New("dial: Multicast is set, but the handler's mux answers disco#info without the feature " + wire.NSAddress)
	}
	return err
}

// muxOf gives the mux that a handler is or hands on to, nil if there is none.
func muxOf(h xmpp.Handler) *mux.ServeMux {
	switch t := h.(type) {
	case *mux.ServeMux:
		return t
	case messages:
		return muxOf(t.next)
	}
	return nil
}

// answersInfo reports whether a mux answers disco#info itself.
func answersInfo(m *mux.ServeMux) bool {
	_, ok := m.IQHandler(stanza.GetIQ, xml.Name{Space: disco.NSInfo, Local: "query"})
	return ok
}
