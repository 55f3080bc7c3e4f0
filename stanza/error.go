package stanza

// conditions are the stanza errors that RFC 6120 8.3.3 defines, with the error type it gives them. Where it
// allows two the first is here.
var conditions = map[string]string{
	"bad-request":             "modify",
	"conflict":                "cancel",
	"feature-not-implemented": "cancel",
	"forbidden":               "auth",
	"gone":                    "cancel",
	"internal-server-error":   "cancel",
	"item-not-found":          "cancel",
	"jid-malformed":           "modify",
	"not-acceptable":          "modify",
	"not-allowed":             "cancel",
	"not-authorized":          "auth",
	"policy-violation":        "modify",
	"recipient-unavailable":   "wait",
	"redirect":                "modify",
	"registration-required":   "auth",
	"remote-server-not-found": "cancel",
	"remote-server-timeout":   "wait",
	"resource-constraint":     "wait",
	"service-unavailable":     "cancel",
	"subscription-required":   "auth",
	"undefined-condition":     "cancel",
	"unexpected-request":      "wait",
}

// ErrorType gives the error type that RFC 6120 8.3.3 connects with a condition: auth, cancel, modify or wait.
// It is empty for what is no condition.
func ErrorType(condition string) string { return conditions[condition] }

// Error is a stanza error (RFC 6120 8.3) and a Go error.
type Error struct {
	Type      string // auth, cancel, continue, modify, wait; empty is the condition's own
	Condition string // element name of RFC 6120 8.3.3
	Text      string // for people, in English; may be empty
	App       string // application-specific condition, as an XML element with its own xmlns; may be empty
	By        string // the entity that made the error (RFC 6120 8.3.2); may be empty
}

// Error gives condition and text.
func (e *Error) Error() string {
	if e.Text == "" {
		return e.Condition
	}
	return e.Condition + ": " + e.Text
}

// Answerable tells whether the stanza may be answered by an error: never another error, nor an iq result
// (RFC 6120 8.3.1 and 8.2.3), nor what is no stanza.
func (h *Header) Answerable() bool {
	return h.Kind != Other && h.Type != TypeError && !(h.Kind == IQ && h.Type == TypeResult)
}

// AppendError appends the error stanza that answers the stanza h with e. The addresses are the canonical
// unescaped bytes to and from; nil stands for the stanza's own, as written and changed over (RFC 6120 8.3.1).
// What neither has is left out. The content of the stanza is not sent back.
func (h *Header) AppendError(dst []byte, e *Error, to, from []byte) []byte {
	name := h.Kind.String()
	dst = append(append(append(dst, '<'), name...), " type='error'"...)
	dst = h.appendCopied(dst, "id", h.ID)
	dst = h.appendAddress(dst, "to", to, h.From)
	dst = h.appendAddress(dst, "from", from, h.To)
	dst = append(dst, '>')
	dst = e.AppendTo(dst)
	dst = append(append(dst, "</"...), name...)
	return append(dst, '>')
}

// appendAddress appends an address attribute: the bytes given, or else the value of an attribute of the stanza.
func (h *Header) appendAddress(dst []byte, name string, address []byte, other Attr) []byte {
	if address != nil {
		return appendAttr(dst, name, address)
	}
	return h.appendCopied(dst, name, other)
}

// appendCopied appends an attribute of the stanza under a name, its value and quotes as written.
func (h *Header) appendCopied(dst []byte, name string, a Attr) []byte {
	if !a.Set() {
		return dst
	}
	dst = append(append(append(dst, ' '), name...), '=')
	return append(dst, h.Raw[a.Value.Lo-1:a.Value.Hi+1]...)
}

// AppendTo appends the element <error/> (RFC 6120 8.3.2).
func (e *Error) AppendTo(dst []byte) []byte {
	kind := e.Type
	if kind == "" {
		kind = ErrorType(e.Condition)
	}
	dst = appendAttr(append(dst, "<error"...), "type", kind)
	if e.By != "" {
		dst = appendAttr(dst, "by", e.By)
	}
	dst = append(dst, '>')
	dst = appendCondition(dst, e.Condition, e.Text, NSStanzas)
	dst = append(dst, e.App...)
	return append(dst, "</error>"...)
}

// appendCondition appends a condition and its text, in the namespace of stanza or of stream errors.
func appendCondition(dst []byte, condition, text, space string) []byte {
	dst = append(append(dst, '<'), condition...)
	dst = append(appendAttr(dst, "xmlns", space), "/>"...)
	if text == "" {
		return dst
	}
	dst = appendAttr(append(dst, "<text"...), "xmlns", space)
	dst = append(appendAttr(dst, "xml:lang", "en"), '>')
	dst = appendEscaped(dst, text, false)
	return append(dst, "</text>"...)
}

// AppendTo appends the stream error and the closing tag that has to follow it at once (RFC 6120 4.9.1.1). The
// stream header sent before must have bound the prefix stream.
func (e *StreamError) AppendTo(dst []byte) []byte {
	dst = append(dst, "<stream:error>"...)
	dst = appendCondition(dst, e.Condition, e.Text, NSStreams)
	dst = append(dst, e.App...)
	return append(dst, "</stream:error></stream:stream>"...)
}
