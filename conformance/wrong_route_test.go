package conformance_test

import (
	"slices"
	"strings"
	"time"

	"github.com/patchbay-im/patchbay/conformance/wire"
)

// ask is an iq that somebody has to answer.
type ask struct {
	of           *link
	id, from, to string
}

// route takes a stanza of a link where it belongs (RFC 6120 8, 10).
func (s *small) route(l *link, e *wire.Element) {
	s.stamp(l, e)
	from, ok := s.now.Load().address(value(e, "from"))
	if (!ok || from.domain != l.name) && !l.refuse(forgedFrom) {
		return
	}
	if why := s.flaw(e); why != "" && s.now.Load().spares != why {
		s.reject(l, e, why)
		return
	}
	a, ok := s.now.Load().address(value(e, "to"))
	if !ok {
		s.bounce(e, badTo)
		return
	}
	if why := s.settle(l, e); why != "" {
		s.bounce(e, why)
		return
	}
	s.strip(e)
	switch _, known := s.nodes[a.domain]; {
	case a.domain == s.domain:
		s.serve(e, a)
	case known:
		s.deliver(e, a)
	default:
		s.bounce(e, noSuchHost)
	}
}

// stamp fills in what a stanza takes from its stream: the sender, and the language (RFC 6120 4.7.4).
func (s *small) stamp(l *link, e *wire.Element) {
	if _, ok := e.Attr("from"); !ok {
		e.Attrs = append(e.Attrs, wire.Attr{Name: wire.Name{Local: "from"}, Value: l.name})
	}
	lang := wire.Name{Space: spaceXML, Local: "lang"}
	if _, ok := e.Get(lang); !ok && l.lang != "" {
		e.Attrs = append(e.Attrs, wire.Attr{Name: lang, Value: l.lang})
	}
}

// flaw says what is wrong with a stanza by itself (RFC 6120 8.1, 8.2.3, 8.3.1), "" if nothing is.
func (s *small) flaw(e *wire.Element) reason {
	to, addressed := e.Attr("to")
	kind, children := value(e, "type"), len(e.Elements())
	if !addressed || to == "" {
		return noTo
	}
	if _, ok := s.now.Load().address(to); !ok {
		return badTo
	}
	if e.Name.Local != "iq" {
		return ""
	}
	_, identified := e.Attr("id")
	asks := kind == "get" || kind == "set"
	switch {
	case !identified:
		return noID
	case !asks && kind != "result" && kind != "error":
		return badType
	case asks && children == 0:
		return noChild
	case asks && children > 1:
		return manyChildren
	case kind == "result" && children > 1:
		return manyResults
	case kind == "error" && e.Child("", "error") == nil:
		return noError
	}
	return ""
}

// reject answers a stanza that has a flaw. Who waits for an answer that cannot be brought is told so.
func (s *small) reject(l *link, e *wire.Element, why reason) {
	if open := s.settled(l, e); open != nil {
		s.bounce(open, badAnswer)
		return
	}
	s.bounce(e, why)
}

// settle takes an answer from the account of what is open. It gives the reason where nobody waits for it.
func (s *small) settle(l *link, e *wire.Element) reason {
	if kind := value(e, "type"); e.Name.Local != "iq" || kind != "result" && kind != "error" {
		return ""
	}
	if value(e, "id") == aliveID {
		select {
		case l.live <- struct{}{}:
		default:
		}
		return unasked
	}
	if s.settled(l, e) == nil && s.now.Load().spares != unasked {
		return unasked
	}
	return ""
}

// settled gives the iq that a stanza answers, once; nil if there is none.
func (s *small) settled(l *link, e *wire.Element) *wire.Element {
	a := ask{l, value(e, "id"), value(e, "to"), value(e, "from")}
	s.mu.Lock()
	defer s.mu.Unlock()
	open := s.asked[a]
	delete(s.asked, a)
	return open
}

// strip takes out what only this server may say (XEP-0359 8).
func (s *small) strip(e *wire.Element) {
	if s.now.Load().keepsIDs {
		return
	}
	e.Children = slices.DeleteFunc(e.Children, func(n wire.Node) bool {
		return n.Element != nil && n.Element.Name == wire.Name{Space: "urn:xmpp:sid:0", Local: "stanza-id"} && value(n.Element, "by") == s.domain
	})
}

// deliver gives a stanza to a component.
func (s *small) deliver(e *wire.Element, to address) {
	kind := value(e, "type")
	s.mu.Lock()
	l := s.links[to.domain]
	if l != nil && e.Name.Local == "iq" && (kind == "get" || kind == "set") {
		a := ask{l, value(e, "id"), value(e, "from"), value(e, "to")}
		s.asked[a] = e
		time.AfterFunc(answerWait, func() { s.late(a) })
	}
	s.mu.Unlock()
	switch {
	case l == nil:
		s.bounce(e, away)
	case !l.say(ofStanza, render(e)):
		s.bounce(e, crowded)
	}
}

// late answers an iq that nobody has answered in time.
func (s *small) late(a ask) {
	s.mu.Lock()
	e := s.asked[a]
	delete(s.asked, a)
	s.mu.Unlock()
	if e != nil {
		s.bounce(e, linkLost)
	}
}

// bounce answers a stanza with an error (RFC 6120 8.3), where one may be.
func (s *small) bounce(e *wire.Element, why reason) {
	kind := value(e, "type")
	if kind == "error" && !s.now.Load().answersErrors || e.Name.Local == "iq" && kind == "result" && !s.now.Load().answersResults {
		return
	}
	err, _ := s.now.Load().condition(why)
	if err == "" {
		return
	}
	from := value(e, "to")
	if why == badTo || from == "" {
		from = s.domain
	}
	class, condition, _ := strings.Cut(err, "/")
	s.answer(e, from, "error", "<error type='"+class+"' by='"+s.domain+"'><"+condition+" xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>")
}

// answer sends a stanza back to who has sent one.
func (s *small) answer(e *wire.Element, from, kind, payload string) {
	to := value(e, "from")
	a, _ := s.now.Load().address(to)
	s.mu.Lock()
	l := s.links[a.domain]
	s.mu.Unlock()
	if l == nil {
		return
	}
	id := ""
	if v, ok := e.Attr("id"); ok {
		id = " id='" + escapeAttr(v) + "'"
	}
	name := e.Name.Local
	l.say(ofAnswer, "<"+name+" type='"+kind+"'"+id+" from='"+escapeAttr(from)+"' to='"+escapeAttr(to)+"'>"+payload+"</"+name+">")
}

// serve takes what is for the server itself (XEP-0030, XEP-0092, XEP-0199).
func (s *small) serve(e *wire.Element, to address) {
	kind := value(e, "type")
	switch {
	case e.Name.Local == "presence":
		return
	case e.Name.Local == "message" || kind == "set" || to.user:
		s.bounce(e, notServed)
		return
	case kind != "get":
		return
	}
	payload, ok := "", false
	if asked := e.Elements(); len(asked) > 0 {
		payload, ok = s.knows(asked[0])
	}
	if !ok || s.now.Load().ignorant == e.Elements()[0].Name.Space {
		s.bounce(e, notServed)
		return
	}
	s.answer(e, value(e, "to"), "result", payload)
}

// knows gives what the server answers to a get.
func (s *small) knows(asked *wire.Element) (payload string, ok bool) {
	const features = "<feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/disco#items'/>" +
		"<feature var='urn:xmpp:ping'/><feature var='jabber:iq:version'/>"
	switch asked.Name.Space {
	case "urn:xmpp:ping":
		return "", true
	case "jabber:iq:version":
		return "<query xmlns='jabber:iq:version'><name>small</name><version>1</version></query>", true
	case "http://jabber.org/protocol/disco#info":
		return "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='server' type='im' name='small'/>" + features + "</query>", value(asked, "node") == ""
	case "http://jabber.org/protocol/disco#items":
		return "<query xmlns='http://jabber.org/protocol/disco#items'>" + strings.Join(s.items(), "") + "</query>", value(asked, "node") == ""
	}
	return "", false
}

// items are the components that are attached.
func (s *small) items() (items []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for domain := range s.nodes {
		if s.links[domain] != nil {
			items = append(items, "<item jid='"+domain+"'/>")
		}
	}
	slices.Sort(items)
	return items
}

func value(e *wire.Element, name string) string {
	v, _ := e.Attr(name)
	return v
}
