package component

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"sync"
	"time"

	wire "github.com/patchbay-im/patchbay/stanza"
)

// errCut says that a connection ended and the stream did not: what XEP-0198 resumes.
var errCut = errors.New("the connection ended without the end of the stream")

// carrier is one connection of a link, from the moment when stanzas flow. A link without XEP-0198 has one and ends with
// it, others go on with another.
type carrier struct {
	conn   *linkConn
	dec    *xml.Decoder // owned by the reader; it has read the server's stream header
	since  time.Time
	broken chan struct{} // closed when a write has failed
	once   sync.Once     // of closing broken
}

func newCarrier(conn *linkConn, dec *xml.Decoder) *carrier {
	return &carrier{conn: conn, dec: dec, since: time.Now(), broken: make(chan struct{})}
}

// breakOff ends a connection on which a write has failed; the reader sees it.
func (c *carrier) breakOff() {
	c.conn.Close()
	c.once.Do(func() { close(c.broken) })
}

// topElement gives the next start tag at the top of a stream. A stream error is a *stanza.StreamError, io.EOF is the
// server's closing tag.
func topElement(d *xml.Decoder) (xml.StartElement, error) {
	for {
		tok, err := d.Token()
		if err != nil {
			return xml.StartElement{}, cutOff(err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if t.Name == (xml.Name{Space: wire.NSStream, Local: "error"}) {
				rest, err := readElement(d)
				if err != nil {
					return t, err
				}
				return t, streamError(rest)
			}
			return t.Copy(), nil
		case xml.EndElement:
			return xml.StartElement{}, io.EOF
		case xml.CharData: // white space between stanzas (RFC 6120 4.6.1)
			if len(bytes.TrimLeft(t, " \t\r\n")) > 0 {
				return xml.StartElement{}, errText
			}
		default:
			return xml.StartElement{}, errRestricted
		}
	}
}

// What no stream may contain.
var (
	errRestricted = errors.New("read comments, processing instructions or directives (RFC 6120 11.1)")
	errText       = errors.New("read text between stanzas (RFC 6120 11.7)")
	errNoH        = errors.New("read an acknowledgement without h (XEP-0198 section 4)")
)

// cutOff tells the end of a connection from other errors: encoding/xml calls it a syntax error.
func cutOff(err error) error {
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) && syntax.Msg == "unexpected EOF" || err == io.EOF {
		return errCut
	}
	return err
}

// readElement gives the tokens after a start tag up to and with the end tag that matches it.
func readElement(r xml.TokenReader) ([]xml.Token, error) {
	var list []xml.Token
	for depth := 1; depth > 0; {
		tok, err := r.Token()
		if err != nil {
			return nil, cutOff(err)
		}
		switch tok.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
		default:
			return nil, errRestricted
		}
		list = append(list, xml.CopyToken(tok))
	}
	return list, nil
}

// streamError reads a stream error (RFC 6120 4.9.2): condition, text for people, and the name of an application-specific
// condition.
func streamError(rest []xml.Token) *wire.StreamError {
	e := new(wire.StreamError)
	e.Condition = "undefined-condition" // if it names none
	depth := 0
	for i, tok := range rest {
		switch t := tok.(type) {
		case xml.EndElement:
			depth--
		case xml.StartElement:
			switch {
			case depth > 0:
			case t.Name.Space != wire.NSStreams:
				e.App = t.Name.Local
			case t.Name.Local == "text":
				e.Text = text(rest[i+1:])
			default:
				e.Condition = t.Name.Local
				if e.Text == "" { // of see-other-host (RFC 6120 4.9.3.19)
					e.Text = text(rest[i+1:])
				}
			}
			depth++
		}
	}
	return e
}
