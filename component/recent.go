package component

import (
	"encoding/xml"
	"hash/maphash"

	"mellium.im/xmpp/stanza"
)

// recentMessages is how far back a repetition is known. A server redelivers what a dropped link left unproved: at most
// a window of 4 MiB, so this is more than that of messages of 128 bytes, which is hardly more than their addresses.
const recentMessages = 32 << 10

// recent remembers the messages handled last. A redelivered message has the id and the sender of the first copy, its
// text, and a delay stamp (XEP-0203) that the first copy may have had, too. All four are asked for: ids are chosen by
// senders, some of which count from one again, and to drop what is new would be a loss without a word.
type recent struct {
	hash maphash.Hash
	ring []uint64 // keys, the oldest at index at once the ring is full
	at   int
	set  map[uint64]struct{}
}

func (r *recent) init() { r.set = make(map[uint64]struct{}) }

// repeated reports whether in is a redelivered copy of a message seen before, and remembers it. A message without an
// id is never taken for one.
func (r *recent) repeated(in inbound) bool {
	if attr(in.start, "id") == "" || attr(in.start, "from") == "" {
		return false
	}
	key, stamped := r.key(in)
	if _, known := r.set[key]; known {
		return stamped
	}
	if len(r.ring) < recentMessages {
		r.ring = append(r.ring, key)
	} else {
		delete(r.set, r.ring[r.at])
		r.ring[r.at] = key
		r.at = (r.at + 1) % recentMessages
	}
	r.set[key] = struct{}{}
	return false
}

// key is a hash of addresses, id and content without delay stamps; stamped reports whether there was one.
func (r *recent) key(in inbound) (key uint64, stamped bool) {
	r.hash.Reset()
	for _, name := range []string{"id", "from", "to"} {
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
