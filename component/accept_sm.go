package component

import (
	"strconv"

	"github.com/patchbay-im/patchbay/stanza"
)

// manage judges the element that ends the opening of a modern stream: stream management is not optional there, because
// nothing else proves what the node has got (XEP-0198 3 and 5).
func (h *Handshake) manage(el *stanza.Header, space, name string) (done bool, err error) {
	w := el.Walk()
	w.Next()
	h.opening = Opening{Modern: true}
	switch {
	case space == stanza.NSSM && name == "enable":
		v := attrOf(&w, "resume")
		h.opening.Enable, h.opening.Resume = true, v == "true" || v == "1"
		return true, nil
	case space == stanza.NSSM && name == "resume" && !h.refused:
		n, err := strconv.ParseUint(attrOf(&w, "h"), 10, 32)
		h.opening.PrevID, h.opening.H = attrOf(&w, "previd"), uint32(n)
		if err != nil || h.opening.PrevID == "" {
			return false, fault("bad-format", "<resume/> has no previd, or no h from 0 to 4294967295; send both, or <enable/> (XEP-0198 5)")
		}
		return true, nil
	}
	if space == stanza.NSComponent && (name == "message" || name == "presence" || name == "iq") {
		return false, fault("not-authorized", "a stanza came before the stream was enabled; send <enable/> of "+stanza.NSSM+" first") // RFC 6120 4.3.5
	}
	return false, fault("policy-violation", "something else came before the stream was enabled; send <enable/> of "+stanza.NSSM+" first")
}

// NotResumed answers that the session which Opening names cannot be resumed: the stream stays, and Feed goes on until
// <enable/> has come. handled is how many stanzas of that session were taken into custody, if that is known (XEP-0198 5).
func (h *Handshake) NotResumed(handled uint32, known bool) error {
	h.opening, h.refused = Opening{}, true
	b := []byte("<failed xmlns='" + stanza.NSSM + "'")
	if known {
		b = append(b, " h='"+strconv.FormatUint(uint64(handled), 10)+"'"...)
	}
	return h.write(append(b, "><item-not-found xmlns='"+stanza.NSStanzas+"'/></failed>"...))
}

// attrOf gives an attribute of the current element, references resolved; "" if there is none.
func attrOf(w *stanza.Walker, name string) string {
	v, escaped, ok := w.Attr(name)
	if !ok {
		return ""
	}
	if escaped {
		v = stanza.AppendUnescaped(nil, v)
	}
	return string(v)
}
