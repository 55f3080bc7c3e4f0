package routing

import "github.com/patchbay-im/patchbay/stanza"

// fanAddress is one address of a message with addresses (XEP-0033 4).
type fanAddress struct {
	who    stanza.Address
	at     stanza.Span // the whole element
	name   int32       // behind its name: where delivered='true' goes
	tag    int32       // behind its start tag
	blind  bool        // bcc: only its own recipient sees it
	wanted bool        // to, cc or bcc, and not delivered yet
	why    Reason      // why it failed
	nodes  int         // that get it, or are to
	took   bool        // one of them has it
}

// fan is a message with addresses, taken apart.
type fan struct {
	h    *stanza.Header // as it goes on, but for to and the addresses
	list []fanAddress
	body stanza.Span // of <addresses/>: what lies between its tags
	buf  []byte      // memory of the addresses
	full int         // limits.addresses
}

// read takes the addresses of f.h apart; only all of them together can be bad.
func (f *fan) read() Reason {
	w := f.h.Walk()
	found := false
	for w.Next() {
		switch {
		case w.Depth() == 2:
			if string(w.Local()) != "addresses" || string(w.Space()) != stanza.NSAddress {
				continue
			}
			if found {
				return BadAddresses // nobody can tell which of them counts
			}
			found = true
			_, f.body = w.Bounds()
		case found && w.Depth() == 3 && f.has(&w):
			if len(f.list) == f.full {
				return ManyAddresses
			}
			if why := f.readOne(&w); why != None {
				return why
			}
		}
	}
	if len(f.list) == 0 {
		return BadAddresses
	}
	return None
}

// has reports whether the current element is an address of the list.
func (f *fan) has(w *stanza.Walker) bool {
	if string(w.Local()) != "address" {
		return false
	}
	at, _ := w.Bounds()
	return at.Lo >= f.body.Lo && at.Hi <= f.body.Hi && string(w.Space()) == stanza.NSAddress
}

// readOne reads one address. A jid that is none, and a uri, fail alone.
func (f *fan) readOne(w *stanza.Walker) Reason {
	at, content := w.Bounds()
	a := fanAddress{at: at, name: at.Lo + 1 + int32(len(w.Name())), tag: content.Lo}
	kind, _, _ := w.Attr("type")
	switch string(kind) {
	case "to", "cc":
		a.wanted = true
	case "bcc":
		a.wanted, a.blind = true, true
	case "replyto", "replyroom", "noreply", "ofrom": // the last by XEP-0146
	default:
		return BadAddresses
	}
	if mark, _, ok := w.Attr("delivered"); ok {
		if string(mark) != "true" {
			return BadAddresses // XEP-0033 12: there is no other value
		}
		a.wanted = false
	}
	if a.wanted {
		jid, escaped, ok := w.Attr("jid")
		_, _, uri := w.Attr("uri")
		switch {
		case ok && !uri:
			var err error
			if a.who, f.buf, err = stanza.ParseAddress(jid, escaped, f.buf); err != nil {
				a.why = BadTo
			}
		case uri && !ok:
			a.why = NoURI
		default:
			return BadAddresses
		}
	}
	f.list = append(f.list, a)
	return None
}

// appendFor appends the message with another to, and of the addresses those that keep names: all but the blind ones,
// marked as delivered, unless open says that the recipient is to deliver there itself.
func (f *fan) appendFor(dst []byte, to []byte, keep, open func(i int) bool) []byte {
	raw := f.h.Raw
	dst = append(dst, raw[:f.h.To.Value.Lo]...)
	dst = stanza.AppendEscaped(dst, to)
	dst = append(dst, raw[f.h.To.Value.Hi:f.body.Lo]...)
	for i := range f.list {
		if keep(i) {
			dst = f.appendAddress(dst, i, open(i))
		}
	}
	return append(dst, raw[f.body.Hi:]...)
}

// appendAddress appends an address as it came, marked as delivered if it is one to deliver to and not left open.
func (f *fan) appendAddress(dst []byte, i int, open bool) []byte {
	a := &f.list[i]
	if !a.wanted || open {
		return append(dst, f.h.In(a.at)...)
	}
	dst = append(dst, f.h.Raw[a.at.Lo:a.name]...)
	dst = append(dst, " delivered='true'"...)
	return append(dst, f.h.Raw[a.name:a.at.Hi]...)
}

// appendOpen appends what all recipients may see, every address marked as delivered.
func (f *fan) appendOpen(dst []byte) []byte {
	for i := range f.list {
		if !f.list[i].blind {
			dst = f.appendAddress(dst, i, false)
		}
	}
	return dst
}
