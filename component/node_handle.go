package component

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"sync"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/disco/info"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	wire "github.com/patchbay-im/patchbay/stanza"
)

const nsPing = "urn:xmpp:ping"

// inboxLimit bounds what was read and not yet handled, in bytes on the wire. While a request waits for its answer, which
// may lie behind much else, reading goes on up to askLimit: then the requests end with ErrBehind.
const (
	inboxLimit = 8 << 20
	askLimit   = 32 << 20
)

// ErrBehind is what a request ends with whose answer cannot be read: too much that came before it is not handled yet.
var ErrBehind = errors.New("32 MiB of stanzas wait for the handler, and the answer is behind them")

// inbound is one unit of work for dispatch: a stanza or a call.
type inbound struct {
	link   *link
	number uint32 // of the stanza, on a link with acknowledgements
	start  xml.StartElement
	rest   []xml.Token // after start, up to and with its end tag
	size   int         // bytes on the wire; 0: no stanza, but a call
	call   func()
}

// inbox is the queue from the reader to dispatch: many writers, one reader.
type inbox struct {
	wake chan struct{} // one value: there is work, or the end
	room chan struct{} // one value: there is room again

	mu    sync.Mutex
	list  []inbound // guarded by mu
	bytes int       // guarded by mu
	over  bool      // guarded by mu
}

func (b *inbox) init() {
	b.wake = make(chan struct{}, 1)
	b.room = make(chan struct{}, 1)
}

func (b *inbox) push(in inbound) {
	b.mu.Lock()
	b.list = append(b.list, in)
	b.bytes += in.size
	b.mu.Unlock()
	signal(b.wake)
}

func (b *inbox) full() bool { return b.size() >= inboxLimit }

func (b *inbox) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes
}

// waitRoom returns once the inbox is not full, so that the reader stops and TCP slows the server down; or when somebody
// waits for what is behind, or the link is broken.
func (n *Node) waitRoom(l *link) {
	c, _ := l.carrying()
	for waiting := false; ; waiting = true {
		switch size := n.inbox.size(); {
		case size < inboxLimit:
			return
		case !l.asking():
		case size < askLimit:
			return
		default:
			l.refuse()
		}
		if !waiting {
			l.poke() // acknowledgements are not read any more
		}
		select {
		case <-n.inbox.room:
		case <-l.wanted:
		case <-c.broken:
			return
		case <-n.ctx.Done():
			return
		}
	}
}

// next gives the oldest unit; false once the inbox is closed and empty.
func (b *inbox) next() (inbound, bool) {
	for {
		b.mu.Lock()
		if len(b.list) > 0 {
			in := b.list[0]
			b.list[0] = inbound{}
			b.list = b.list[1:]
			b.bytes -= in.size
			b.mu.Unlock()
			signal(b.room)
			return in, true
		}
		over := b.over
		b.mu.Unlock()
		if over {
			return inbound{}, false
		}
		<-b.wake
	}
}

func (b *inbox) close() {
	b.mu.Lock()
	b.over = true
	b.mu.Unlock()
	signal(b.wake)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take sorts what the reader has read: answers go to who asked, at once; all else waits its turn.
func (n *Node) take(in inbound) {
	name, typ := in.start.Name.Local, attr(in.start, "type")
	if !stanza.Is(in.start.Name, "") || !own(in.start.Name.Space) {
		n.cfg.Log.WithField("element", in.start.Name.Local).Debug("skip an element that is no stanza")
		return
	}
	// Libraries write jabber:client for the stream's own namespace, and so does a server that probes them.
	in.start.Name.Space = wire.NSComponent
	var fresh bool
	if in.number, fresh = in.link.count(); !fresh {
		return
	}
	switch {
	case name == "iq" && (typ == string(stanza.ResultIQ) || typ == string(stanza.ErrorIQ)) && in.link.answer(in),
		name == "presence" && typ == string(stanza.UnavailablePresence) && n.takeReplaced(in):
		in.link.sort(false)
		return
	case name == "presence" && (typ == "" || typ == string(stanza.UnavailablePresence)):
		n.takeSession(&in)
	}
	in.link.sort(true)
	n.inbox.push(in)
	n.waitRoom(in.link)
}

// dispatch handles what was read, one after the other.
func (n *Node) dispatch() {
	defer close(n.done)
	defer n.drains.calls.Wait()
	for {
		in, ok := n.inbox.next()
		if !ok {
			return
		}
		n.handle(in)
		if in.size > 0 {
			in.link.handledOne(in.number)
		}
	}
}

func (n *Node) handle(in inbound) {
	request := false
	switch {
	case in.call != nil:
		in.call()
		return
	case in.start.Name.Local == "iq":
		typ := stanza.IQType(attr(in.start, "type"))
		request = typ == stanza.GetIQ || typ == stanza.SetIQ
	case n.seen.repeated(in):
		return
	}
	if request && (n.takeDrain(in) || n.serveRequest(in)) {
		return
	}
	h := &handling{node: n, tokens: tokens{list: in.rest}, id: attr(in.start, "id")}
	var err error
	if n.cfg.Handler != nil {
		start := in.start.Copy()
		err = n.cfg.Handler.HandleXMPP(h, &start)
	}
	if err != nil {
		n.cfg.Log.WithField("reason", err).Warn("handle " + in.start.Name.Local)
	}
	if request && !h.answered {
		n.refuse(in, err)
	}
}

// serveRequest answers what needs no handler: pings, and disco#info unless the handler's mux answers it itself.
func (n *Node) serveRequest(in inbound) bool {
	child := firstChild(in.rest)
	if child.Local == "ping" && child.Space == nsPing && attr(in.start, "type") == string(stanza.GetIQ) {
		n.reply(in, stanza.ResultIQ, nil)
		return true
	}
	if child.Local != "query" || child.Space != disco.NSInfo || attr(in.start, "type") != string(stanza.GetIQ) {
		return false
	}
	if m := muxOf(n.cfg.Handler); m != nil && answersInfo(m) {
		return false
	}
	h := &handling{node: n, tokens: tokens{list: in.rest}, id: attr(in.start, "id")}
	start := in.start.Copy()
	if err := n.discoMux().HandleXMPP(h, &start); err != nil {
		n.cfg.Log.WithField("reason", err).Debug("answer disco#info")
	}
	if !h.answered {
		n.refuse(in, nil)
	}
	return true
}

// discoMux answers disco#info with what Node itself does and what the handler, or the mux behind it, says of itself.
func (n *Node) discoMux() *mux.ServeMux {
	own := nodeFeatures{disco.NSInfo, nsPing}
	if n.cfg.Multicast {
		own = append(own, wire.NSAddress)
	}
	opts := []mux.Option{disco.Handle(), mux.Feature(own), mux.Ident(own)}
	var more any = n.cfg.Handler
	if m := muxOf(n.cfg.Handler); m != nil {
		more = m
	}
	if iter, ok := more.(info.FeatureIter); ok {
		opts = append(opts, mux.Feature(iter))
	}
	if iter, ok := more.(info.IdentityIter); ok {
		opts = append(opts, mux.Ident(iter))
	}
	return mux.New(NSAccept, opts...)
}

// nodeFeatures are the features of the node itself.
type nodeFeatures []string

func (own nodeFeatures) ForFeatures(node string, f func(info.Feature) error) error {
	if node != "" {
		return nil
	}
	for _, name := range own {
		if err := f(info.Feature{Var: name}); err != nil {
			return err
		}
	}
	return nil
}

func (nodeFeatures) ForIdentities(node string, f func(info.Identity) error) error {
	if node != "" {
		return nil
	}
	return f(info.Identity{Category: "component", Type: "generic"})
}

// refuse answers a request that nobody answered: RFC 6120 8.2.3 rule 3 wants an answer to each.
func (n *Node) refuse(in inbound, cause error) {
	e := stanza.Error{Type: stanza.Cancel, Condition: stanza.ServiceUnavailable}
	if cause != nil && !errors.As(cause, &e) {
		e = stanza.Error{Type: stanza.Cancel, Condition: stanza.InternalServerError}
	}
	n.reply(in, stanza.ErrorIQ, e.TokenReader())
}

// reply answers on the link the request came by: on another it would answer a question nobody asked there. The
// addresses are the request's own, turned around as they stand.
func (n *Node) reply(in inbound, typ stanza.IQType, payload xml.TokenReader) {
	start := xml.StartElement{Name: xml.Name{Local: "iq"}, Attr: []xml.Attr{
		{Name: xml.Name{Local: "type"}, Value: string(typ)},
		{Name: xml.Name{Local: "id"}, Value: attr(in.start, "id")},
		{Name: xml.Name{Local: "to"}, Value: attr(in.start, "from")},
		{Name: xml.Name{Local: "from"}, Value: attr(in.start, "to")},
	}}
	raw, err := encodeStanza(xmlstream.Wrap(payload, start), n.domain.String(), n.cfg.MaxStanza)
	if err == nil {
		err = in.link.write(context.Background(), raw)
	}
	if err != nil {
		n.cfg.Log.WithField("reason", err).Debug("answer an iq")
	}
}

func firstChild(rest []xml.Token) xml.Name {
	for _, tok := range rest {
		if start, ok := tok.(xml.StartElement); ok {
			return start.Name
		}
	}
	return xml.Name{}
}

// handling is what a handler reads from and writes to. Each stanza written to it leaves when it is complete, by
// Send: no lock of the stream is held while a handler runs (mellium's own encoder holds one until it returns).
type handling struct {
	tokens
	node     *Node
	id       string
	answered bool
	depth    int
	out      []xml.Token
}

// EncodeToken collects the tokens of a stanza and sends it with its last one.
func (h *handling) EncodeToken(tok xml.Token) error {
	switch t := tok.(type) {
	case xml.StartElement:
		if h.depth == 0 {
			typ := stanza.IQType(attr(t, "type"))
			answer := typ == stanza.ResultIQ || typ == stanza.ErrorIQ
			h.answered = h.answered || (t.Name.Local == "iq" && answer && attr(t, "id") == h.id)
		}
		h.depth++
	case xml.EndElement:
		h.depth--
	}
	h.out = append(h.out, xml.CopyToken(tok))
	if h.depth > 0 {
		return nil
	}
	whole := &tokens{list: h.out}
	h.out, h.depth = nil, 0
	return h.node.Send(h.node.ctx, whole)
}

// Encode writes v as xml.Marshal would.
func (h *handling) Encode(v any) error {
	switch t := v.(type) {
	case xmlstream.Marshaler:
		_, err := xmlstream.Copy(h, t.TokenReader())
		return err
	case xml.TokenReader:
		_, err := xmlstream.Copy(h, t)
		return err
	}
	raw, err := xml.Marshal(v)
	return h.copyRaw(raw, err)
}

// EncodeElement writes v inside start.
func (h *handling) EncodeElement(v any, start xml.StartElement) error {
	var buf bytes.Buffer
	err := xml.NewEncoder(&buf).EncodeElement(v, start)
	return h.copyRaw(buf.Bytes(), err)
}

func (h *handling) copyRaw(raw []byte, err error) error {
	if err != nil {
		return err
	}
	_, err = xmlstream.Copy(h, xml.NewDecoder(bytes.NewReader(raw)))
	return err
}
