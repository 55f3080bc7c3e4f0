package soak

import (
	"context"
	"crypto/sha1"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// hand is one link of a node by hand (XEP-0114).
type hand struct {
	conn    net.Conn
	dec     *xml.Decoder
	answers bool // iqs
	domain  string
	got     func(element) // in order
	over    chan struct{} // closed when the link has ended
	replies chan string   // ids and addresses of iqs to be answered: the reader may not wait for what nobody reads

	writing sync.Mutex

	mu    sync.Mutex
	asked map[string]asking // guarded by mu: by id
	count int               // guarded by mu
}

// asking is who waits for the answer to an iq.
type asking struct {
	answer chan element
	told   func(element) // called by the reader with a result, before the next stanza; may be nil
}

// element is a top-level element.
type element struct {
	XMLName xml.Name
	ID      string `xml:"id,attr"`
	From    string `xml:"from,attr"`
	To      string `xml:"to,attr"`
	Type    string `xml:"type,attr"`
	Inner   string `xml:",innerxml"`
}

// attach attaches a node at an address.
func attach(addr, domain string, answers bool, got func(element)) (*hand, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	h := &hand{conn: conn, dec: xml.NewDecoder(conn), answers: answers, domain: domain, got: got, over: make(chan struct{}),
		replies: make(chan string, 1<<14), asked: map[string]asking{}}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if err := h.handshake(); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("attach %s: %w", domain, err)
	}
	_ = conn.SetDeadline(time.Time{})
	return h, nil
}

func (h *hand) handshake() error {
	if err := h.say("<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='%s'>", h.domain); err != nil {
		return err
	}
	root, err := h.next()
	if err != nil {
		return err
	}
	id := ""
	for _, a := range root.Attr {
		if a.Name.Local == "id" {
			id = a.Value
		}
	}
	if err := h.say("<handshake>%x</handshake>", sha1.Sum([]byte(id+secret))); err != nil {
		return err
	}
	answer, err := h.next()
	if err == nil && answer.Name.Local != "handshake" {
		err = fmt.Errorf("refused with %s", answer.Name.Local)
	}
	return errors.Join(err, h.dec.Skip())
}

// next gives the next start tag, io.EOF at the end of the stream.
func (h *hand) next() (xml.StartElement, error) {
	for {
		tok, err := h.dec.Token()
		if err != nil {
			return xml.StartElement{}, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			return tok, nil
		case xml.EndElement:
			return xml.StartElement{}, io.EOF
		}
	}
}

// read reads until the link ends.
func (h *hand) read() {
	defer close(h.over)
	defer close(h.replies)
	go h.reply() // ends with replies
	for {
		tag, err := h.next()
		if err != nil {
			_ = h.conn.Close()
			return
		}
		var e element
		if h.dec.DecodeElement(&e, &tag) != nil {
			continue // the next token tells why
		}
		if tag.Name.Local == "error" { // of the stream, which ends
			continue
		}
		if e.XMLName.Local == "iq" && (e.Type == "get" || e.Type == "set") && h.answers {
			h.replies <- fmt.Sprintf("<iq type='result' id='%s' from='%s' to='%s'/>", e.ID, e.To, e.From)
		}
		if e.XMLName.Local != "iq" || !h.told(e) {
			h.got(e)
		}
	}
}

// told hands the answer to whoever asked for it, and reports whether somebody did.
func (h *hand) told(e element) bool {
	h.mu.Lock()
	a, is := h.asked[e.ID]
	delete(h.asked, e.ID)
	h.mu.Unlock()
	if !is || e.Type != "result" && e.Type != "error" {
		return false
	}
	if e.Type == "result" && a.told != nil {
		a.told(e)
	}
	a.answer <- e
	return true
}

func (h *hand) reply() {
	for answer := range h.replies {
		_ = h.say("%s", answer) // the reader sees the end of the link
	}
}

func (h *hand) say(format string, args ...any) error {
	h.writing.Lock()
	defer h.writing.Unlock()
	_, err := fmt.Fprintf(h.conn, format, args...)
	return err
}

var errAsked = errors.New("the link ended before the answer")

// question is an iq for the server.
type question struct {
	kind, to, payload string
	told              func(element) // see asking
}

// ask asks the server and waits for the answer: what was written before is decided then.
func (h *hand) ask(ctx context.Context, q question) (element, error) {
	a := asking{make(chan element, 1), q.told}
	h.mu.Lock()
	h.count++
	id := fmt.Sprintf("own-%p-%d", h, h.count) // an answer to an older link is not for this one
	h.asked[id] = a
	h.mu.Unlock()
	if err := h.say("<iq type='%s' id='%s' from='%s' to='%s'>%s</iq>", q.kind, id, h.domain, q.to, q.payload); err != nil {
		return element{}, err
	}
	select {
	case e := <-a.answer:
		if e.Type == "error" {
			return e, fmt.Errorf("%s is answered with %s", q.payload, conditionOf(e.Inner))
		}
		return e, nil
	case <-h.over:
		return element{}, errAsked
	case <-ctx.Done():
		return element{}, ctx.Err()
	}
}

// conditionOf gives the defined condition of an error (RFC 6120 8.3.3).
func conditionOf(inner string) string {
	_, rest, _ := strings.Cut(inner, "<error ")
	_, rest, _ = strings.Cut(rest, ">")
	rest = strings.TrimPrefix(strings.TrimSpace(rest), "<")
	return rest[:max(0, strings.IndexAny(rest, " />"))]
}
