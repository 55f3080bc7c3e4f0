package component

import (
	"bytes"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"sync"
	"unicode"
	"unicode/utf8"

	"mellium.im/xmpp/stanza"

	wire "github.com/patchbay-im/patchbay/stanza"
)

// stanzaEncoder writes one stanza as bytes that any server takes without rewriting: elements of the stream's own
// namespace carry no xmlns (copied tokens name it on each), no namespace is declared twice in a row, and id and
// from are there (XEP-0114 section 3 wants from, RFC 6120 8.1.3 id). It works in memory, so an encoding that fails
// half-way does not reach the stream.
type stanzaEncoder struct {
	buf   bytes.Buffer
	enc   *xml.Encoder
	from  string // written where the stanza has none
	stack []openElement
}

type openElement struct {
	written xml.Name
	ns      string // effective namespace; "" is the stream's own
}

var encoders = sync.Pool{New: func() any {
	e := &stanzaEncoder{}
	e.enc = xml.NewEncoder(&e.buf)
	return e
}}

var (
	errNoStanza  = errors.New("encode: the first token does not open a message, presence or iq")
	errRestraint = errors.New("encode: comments, processing instructions and directives are not allowed (RFC 6120 11.1)")
)

// encodeStanza gives the bytes of the one stanza that r holds. max bounds their number.
func encodeStanza(r xml.TokenReader, from string, max int) ([]byte, error) {
	e := encoders.Get().(*stanzaEncoder)
	e.buf.Reset()
	e.from = from
	if err := e.copy(r); err != nil {
		return nil, err // e is half-way through an element: left to the collector
	}
	if e.buf.Len() > max {
		encoders.Put(e)
		return nil, fmt.Errorf("encode: a stanza of %d bytes, %d is the most", e.buf.Len(), max)
	}
	out := bytes.Clone(e.buf.Bytes())
	encoders.Put(e)
	return out, nil
}

func (e *stanzaEncoder) copy(r xml.TokenReader) error {
	for first := true; first || len(e.stack) > 0; first = false {
		tok, err := r.Token()
		if tok == nil && err == nil {
			return fmt.Errorf("encode: %w", io.ErrNoProgress)
		}
		if tok != nil {
			if werr := e.token(tok, first); werr != nil {
				return werr
			}
		}
		if err != nil && (len(e.stack) > 0 || tok == nil) {
			return fmt.Errorf("encode: read tokens: %w", err)
		}
	}
	return e.enc.Flush()
}

func (e *stanzaEncoder) token(tok xml.Token, first bool) error {
	switch t := tok.(type) {
	case xml.StartElement:
		return e.start(t, first)
	case xml.EndElement:
		if len(e.stack) == 0 {
			return errNoStanza
		}
		open := e.stack[len(e.stack)-1]
		e.stack = e.stack[:len(e.stack)-1]
		return e.enc.EncodeToken(xml.EndElement{Name: open.written})
	case xml.CharData:
		if first {
			return errNoStanza
		}
		return e.enc.EncodeToken(t)
	}
	return errRestraint
}

func (e *stanzaEncoder) start(t xml.StartElement, first bool) error {
	if err := checkNames(t); err != nil {
		return err
	}
	if first && !(stanza.Is(t.Name, "") && own(t.Name.Space)) {
		return errNoStanza
	}
	open := openElement{written: t.Name, ns: t.Name.Space}
	parent := ""
	if len(e.stack) > 0 {
		parent = e.stack[len(e.stack)-1].ns
	}
	if open.ns == "" || open.ns == parent || (parent == "" && own(open.ns)) {
		open.ns = parent
		open.written.Space = ""
	}
	t.Attr = plainAttrs(t.Attr, first)
	if first {
		t.Attr = e.fill(t)
	}
	t.Name = open.written
	e.stack = append(e.stack, open)
	return e.enc.EncodeToken(t)
}

// checkNames refuses names that would make the stanza no XML: encoding/xml reads a:0 and writes 0 (XML 1.0 [5]).
func checkNames(t xml.StartElement) error {
	if !isName(t.Name.Local) {
		return fmt.Errorf("encode: %q is no name of an element", t.Name.Local)
	}
	for _, a := range t.Attr {
		if !isName(a.Name.Local) {
			return fmt.Errorf("encode: %q is no name of an attribute", a.Name.Local)
		}
	}
	return nil
}

// isName tells whether a local name begins as one may (XML 1.0 [4]); what follows was read as a part of a name.
func isName(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return r == '_' || unicode.IsLetter(r) && (r < utf8.RuneSelf || r >= 0xC0)
}

// own reports whether ns means the stream's content namespace: several libraries write jabber:client for it.
func own(ns string) bool {
	return ns == "" || ns == wire.NSComponent || ns == wire.NSClient || ns == wire.NSServer
}

// plainAttrs drops declarations, which the encoder makes itself, and on the stanza empty attributes.
func plainAttrs(attrs []xml.Attr, top bool) []xml.Attr {
	out := make([]xml.Attr, 0, len(attrs)+2)
	for _, a := range attrs {
		declares := a.Name.Space == "xmlns" || (a.Name.Space == "" && a.Name.Local == "xmlns")
		if declares || (top && a.Value == "") {
			continue
		}
		out = append(out, a)
	}
	return out
}

func (e *stanzaEncoder) fill(t xml.StartElement) []xml.Attr {
	if attr(t, "from") == "" {
		t.Attr = append(t.Attr, xml.Attr{Name: xml.Name{Local: "from"}, Value: e.from})
	}
	if attr(t, "id") == "" && t.Name.Local != "presence" {
		t.Attr = append(t.Attr, xml.Attr{Name: xml.Name{Local: "id"}, Value: NewID()})
	}
	return t.Attr
}

// NewID gives a stanza id that nobody can guess (128 random bits; answers are matched by it).
func NewID() string { return rand.Text() }

// attr gives the value of an attribute without namespace, "" if it is absent.
func attr(start xml.StartElement, local string) string {
	for _, a := range start.Attr {
		if a.Name.Space == "" && a.Name.Local == local {
			return a.Value
		}
	}
	return ""
}
