package service

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/disco/info"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/ping"
	mstanza "mellium.im/xmpp/stanza"
	"mellium.im/xmpp/version"
	"mellium.im/xmpp/xtime"

	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
)

const (
	nsLast     = "jabber:iq:last"                       // XEP-0012
	nsDataForm = "jabber:x:data"                        // XEP-0004
	nsContacts = "http://jabber.org/network/serverinfo" // XEP-0157
)

// serverMux answers for this server's own domain and for user domains.
func (s *Service) serverMux() *mux.ServeMux {
	return mux.New("",
		ping.Handle(),
		version.Handle(version.Query{Name: "patchbay", Version: s.cfg.Version, OS: runtime.GOOS}),
		xtime.Handle(xtime.Handler{TimeFunc: s.cfg.Now}),
		mux.IQFunc(mstanza.GetIQ, xml.Name{Space: nsLast, Local: "query"}, s.last),
		mux.IQFunc(mstanza.GetIQ, xml.Name{Space: disco.NSInfo, Local: "query"}, s.discoInfo),
		mux.IQFunc(mstanza.GetIQ, xml.Name{Space: disco.NSItems, Local: "query"}, s.discoItems),
	)
}

// accountMux answers for a user's bare address: the router keeps no more of an account than that it exists.
func accountMux() *mux.ServeMux {
	return mux.New("",
		ping.Handle(),
		mux.IQFunc(mstanza.GetIQ, xml.Name{Space: disco.NSInfo, Local: "query"}, accountInfo),
	)
}

// answer gives an iq get or set to a mux and sends its reply; refused is the reason when nothing there handles it
// (RFC 6120 8.3.3.19).
func answer(m *mux.ServeMux, src *routing.Source, q question, refused routing.Reason) routing.Reason {
	w, ok := payload(src, q.h)
	if !ok {
		return routing.BadStanza
	}
	typ := mstanza.GetIQ
	if q.h.Type == stanza.TypeSet {
		typ = mstanza.SetIQ
	}
	if _, ok := m.IQHandler(typ, xml.Name{Space: string(w.Space()), Local: string(w.Local())}); !ok {
		return refused
	}
	out, err := handle(m, q.plain(src))
	if err != nil || len(out) == 0 {
		src.Log.WithError(err).Debug("answer an iq")
		return refused
	}
	src.Reply(out)
	return routing.None
}

// plain gives the iq as a document of its own, with the from that it may have left out.
func (q *question) plain(src *routing.Source) []byte {
	edit := stanza.Edit{Prefixes: src.Prefixes()}
	if !q.h.From.Set() {
		edit.From = q.from.Bytes()
	} else if !q.h.NeedsEdit() {
		return q.h.Raw
	}
	return q.h.AppendEdited(nil, &edit)
}

// handle runs a mux over one iq and gives what it wrote.
func handle(m *mux.ServeMux, raw []byte) ([]byte, error) {
	d := xml.NewDecoder(bytes.NewReader(raw))
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	start, ok := tok.(xml.StartElement)
	if !ok {
		return nil, fmt.Errorf("read an iq: it begins with %T", tok)
	}
	var out bytes.Buffer
	e := xml.NewEncoder(&out)
	err = m.HandleXMPP(struct {
		xml.TokenReader
		xmlstream.Encoder
	}{d, e}, &start)
	if err == nil {
		err = e.Flush()
	}
	return out.Bytes(), err
}

// reply writes the result of an iq. mellium's own disco handler repeats the request's xmlns, so the payload
// is always wrapped anew.
func reply(t xmlstream.TokenReadEncoder, iq mstanza.IQ, name xml.Name, attr []xml.Attr, inner ...xml.TokenReader) error {
	_, err := xmlstream.Copy(t, iq.Result(xmlstream.Wrap(xmlstream.MultiReader(inner...),
		xml.StartElement{Name: name, Attr: attr})))
	return err
}

// last answers XEP-0012 for a server: the seconds it has been up.
func (s *Service) last(iq mstanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	up := int(s.cfg.Now().Sub(s.cfg.Start) / time.Second)
	return reply(t, iq, start.Name, []xml.Attr{{Name: xml.Name{Local: "seconds"}, Value: strconv.Itoa(up)}})
}

// features of the server, by XEP-0030. mux cannot list those of its own that are plain functions.
var features = []string{disco.NSInfo, disco.NSItems, ping.NS, version.NS, xtime.NS, nsLast}

// features gives those of a domain: user domains send messages on to many (XEP-0033), and may keep them (XEP-0160).
func (s *Service) features(domain string) []string {
	if domain == s.router.Server() {
		return features
	}
	all := append(slices.Clone(features), stanza.NSSessions, stanza.NSAddress)
	if s.router.Stores(domain) {
		all = append(all, "msgoffline")
	}
	return all
}

func (s *Service) discoInfo(iq mstanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	if node(start) != "" {
		return itemNotFound(iq, t)
	}
	id := info.Identity{Category: "server", Type: "im", Name: "patchbay"}
	if iq.To.Domain().String() == s.router.Server() {
		id = info.Identity{Category: "component", Type: "router", Name: "patchbay"}
	}
	inner := []xml.TokenReader{id.TokenReader()}
	for _, f := range s.features(iq.To.Domain().String()) {
		inner = append(inner, info.Feature{Var: f}.TokenReader())
	}
	if uris := *s.contacts.Load(); len(uris) > 0 {
		inner = append(inner, contacts(uris))
	}
	return reply(t, iq, start.Name, nil, inner...)
}

// contacts is the form of XEP-0157, the same addresses for administration and for abuse. Its type is result;
// mellium's form package can only submit.
func contacts(uris []string) xml.TokenReader {
	field := func(name, typ string, values ...string) xml.TokenReader {
		var inner []xml.TokenReader
		for _, v := range values {
			inner = append(inner, xmlstream.Wrap(xmlstream.Token(xml.CharData(v)), element("value")))
		}
		return xmlstream.Wrap(xmlstream.MultiReader(inner...), element("field", "var", name, "type", typ))
	}
	form := element("x", "type", "result")
	form.Name.Space = nsDataForm
	return xmlstream.Wrap(xmlstream.MultiReader(field("FORM_TYPE", "hidden", nsContacts),
		field("admin-addresses", "list-multi", uris...), field("abuse-addresses", "list-multi", uris...)), form)
}

// element makes a start tag from a name and pairs of attribute name and value.
func element(name string, attrs ...string) xml.StartElement {
	start := xml.StartElement{Name: xml.Name{Local: name}}
	for i := 0; i+1 < len(attrs); i += 2 {
		start.Attr = append(start.Attr, xml.Attr{Name: xml.Name{Local: attrs[i]}, Value: attrs[i+1]})
	}
	return start
}

// discoItems lists the attached nodes (XEP-0030 4, XEP-0114).
func (s *Service) discoItems(iq mstanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	if node(start) != "" {
		return itemNotFound(iq, t)
	}
	var inner []xml.TokenReader
	if iq.To.Domain().String() == s.router.Server() {
		listed := map[string]bool{}
		for _, n := range s.router.Nodes() {
			if n.State() == routing.Attached && !listed[n.Domain] {
				listed[n.Domain] = true // several links may share it
				inner = append(inner, xmlstream.Wrap(nil, itemElement(n.Domain)))
			}
		}
	}
	return reply(t, iq, start.Name, nil, inner...)
}

func itemElement(domain string) xml.StartElement {
	start := element("item", "jid", domain)
	start.Name.Space = disco.NSItems
	return start
}

func accountInfo(iq mstanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	if node(start) != "" {
		return itemNotFound(iq, t)
	}
	return reply(t, iq, start.Name, nil,
		info.Identity{Category: "account", Type: "registered"}.TokenReader(),
		info.Feature{Var: disco.NSInfo}.TokenReader(), info.Feature{Var: ping.NS}.TokenReader())
}

// node is the disco node that is asked about; we have none (XEP-0030 3.2: item-not-found).
func node(start *xml.StartElement) string {
	for _, a := range start.Attr {
		if a.Name.Local == "node" && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

func itemNotFound(iq mstanza.IQ, t xmlstream.TokenReadEncoder) error {
	_, err := xmlstream.Copy(t, iq.Error(mstanza.Error{Type: mstanza.Cancel, Condition: mstanza.ItemNotFound,
		Text: map[string]string{"en": "the router has no disco nodes; leave the node attribute out"}}))
	return err
}
