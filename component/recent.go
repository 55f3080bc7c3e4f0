package component

import (
	"encoding/xml"
	"hash/maphash"

	"mellium.im/xmpp/stanza"
)

// recentMessages is how far back a repetition is known. A server redelivers what a dropped link left unproved: at most
// a window of 4 MiB, so this is more than that of messages of 128 bytes, which is hardly more than their addresses.
const recentMessages = 32 << 10

// recentPairs is of how many pairs of addresses the last presence is known.
const recentPairs = 32 << 10

// recent remembers what was handled last. A redelivered message has the id and the sender of the first copy, its
// text, and a delay stamp (XEP-0203) that the first copy may have had, too. All four are asked for: ids are chosen by
// senders, some of which count from one again, and to drop what is new would be a loss without a word.
//
// A state may come back that was there before, under the id that it had then, so presence is a copy only of the last one of its
// pair of addresses. An iq result has no delay stamp, and its id may be in use again: each is handled.
type recent struct {
	hash     maphash.Hash
	messages window
	pairs    window
}

func (r *recent) init() { r.messages.init(recentMessages); r.pairs.init(recentPairs) }

// window is a map of the keys that came in last.
type window struct {
	ring []uint64 // keys, the oldest at index at once the ring is full
	at   int
	most int
	set  map[uint64]uint64
}

func (w *window) init(most int) { w.most, w.set = most, make(map[uint64]uint64) }

// put gives a key a value.
func (w *window) put(key, value uint64) {
	switch _, known := w.set[key]; {
	case known:
	case len(w.ring) < w.most:
		w.ring = append(w.ring, key)
	default:
		delete(w.set, w.ring[w.at])
		w.ring[w.at] = key
		w.at = (w.at + 1) % w.most
	}
	w.set[key] = value
}

// repeated reports whether in is a redelivered copy of a message or of presence seen before, and remembers it. What has no id
// is never taken for one.
func (r *recent) repeated(in inbound) bool {
	name, id := in.start.Name.Local, attr(in.start, "id")
	switch {
	case attr(in.start, "from") == "":
	case name == "presence":
		return r.isLast(in) && id != ""
	case name == "message" && id != "":
		key, stamped := r.key(in)
		if _, known := r.messages.set[key]; known {
			return stamped
		}
		r.messages.put(key, 0)
	}
	return false
}

// isLast reports whether presence is a stamped copy of the last one from and to its addresses, which it is from now on.
func (r *recent) isLast(in inbound) bool {
	r.hash.Reset()
	r.word(attr(in.start, "from"))
	r.word(attr(in.start, "to"))
	pair := r.hash.Sum64()
	key, stamped := r.key(in)
	if last, known := r.pairs.set[pair]; known && last == key {
		return stamped
	}
	r.pairs.put(pair, key)
	return false
}

// key is a hash of addresses, id, type and content without delay stamps; stamped reports whether there was one.
func (r *recent) key(in inbound) (key uint64, stamped bool) {
	r.hash.Reset()
	for _, name := range []string{"id", "from", "to", "type"} {
		r.word(attr(in.start, name))
	}
	depth, skip := 0, false
	for _, tok := range in.rest {
		if start, ok := tok.(xml.StartElement); ok {
			if depth == 0 && start.Name.Space == stanza.NSDelay && start.Name.Local == "delay" {
				skip, stamped = true, true
			}
			depth++
		}
		if !skip {
			r.token(tok)
		}
		if _, ok := tok.(xml.EndElement); ok {
			depth--
			skip = skip && depth > 0
		}
	}
	return r.hash.Sum64(), stamped
}

// token adds one token to the hash; what it begins with tells its kind.
func (r *recent) token(tok xml.Token) {
	switch t := tok.(type) {
	case xml.StartElement:
		r.hash.WriteByte('<')
		r.word(t.Name.Space)
		r.word(t.Name.Local)
		for _, a := range t.Attr {
			r.word(a.Name.Space)
			r.word(a.Name.Local)
			r.word(a.Value)
		}
	case xml.EndElement:
		r.hash.WriteByte('>')
	case xml.CharData:
		r.hash.WriteByte('.')
		r.hash.Write(t)
	}
}

// word adds a string and a byte that no XML text holds, so that "ab", "c" is not "a", "bc".
func (r *recent) word(s string) {
	r.hash.WriteString(s)
	r.hash.WriteByte(0)
}
