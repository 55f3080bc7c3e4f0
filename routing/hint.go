package routing

import (
	"bytes"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// Namespaces of what a message may hold.
const (
	nsDelay      = "urn:xmpp:delay"                        // XEP-0203
	nsHints      = "urn:xmpp:hints"                        // XEP-0334
	nsChatStates = "http://jabber.org/protocol/chatstates" // XEP-0085
)

// hintOf says whether a message may be stored: not if it asks for that (XEP-0334), nor if it holds chat states and
// nothing else (XEP-0160), unless it asks to be stored.
func hintOf(h *stanza.Header, prefixes []stanza.Prefix) Hint {
	states, others, asks := 0, 0, false
	w := h.Walk()
	w.Prefixes = prefixes
	for w.Next() {
		if w.Depth() != 2 {
			continue
		}
		switch space, local := string(w.Space()), string(w.Local()); {
		case space == nsHints && (local == "no-store" || local == "no-storage"):
			return HintNever
		case space == nsHints:
			asks = asks || local == "store"
		case space == nsChatStates:
			states++
		case local != "thread":
			others++
		}
	}
	if states > 0 && others == 0 && !asks {
		return HintState
	}
	return HintNone
}

// delay says who has kept a stanza, and since when (XEP-0203).
type delay struct {
	by string // a domain
	at time.Time
}

// stampForm is the form of XEP-0082, in UTC, with milliseconds.
const stampForm = "2006-01-02T15:04:05.000Z"

// appendDelayed appends a whole stanza with a delay, unless it has one.
func appendDelayed(dst, raw []byte, d delay) []byte {
	w := stanza.WalkBytes(raw)
	w.Next()
	name := w.Name()
	for w.Next() {
		if w.Depth() == 2 && string(w.Local()) == "delay" && string(w.Space()) == nsDelay {
			return append(dst, raw...)
		}
	}
	head, empty := bytes.CutSuffix(raw, []byte("/>"))
	if !empty {
		head = raw[:bytes.LastIndex(raw, []byte("</"))]
	}
	dst = append(dst, head...)
	if empty {
		dst = append(dst, '>')
	}
	dst = append(append(dst, "<delay xmlns='"+nsDelay+"' from='"...), d.by...)
	dst = d.at.UTC().AppendFormat(append(dst, "' stamp='"...), stampForm)
	dst = append(dst, "'/>"...)
	if empty {
		return append(append(append(dst, "</"...), name...), '>')
	}
	return append(dst, raw[len(head):]...)
}
