package interop

import (
	"crypto/sha1"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"sync"
	"testing"
	"time"
)

// node is a node by hand (XEP-0114): it shows what the libraries hide, and never does anything by itself but answer the router's
// pings, which it does not show.
type node struct {
	// set once
	conn net.Conn
	dec  *xml.Decoder
	got  func(element) // called by the reader with each stanza, in order
	over chan struct{} // closed when the stream from the server has ended

	// owned by the reader, to be read when over is closed
	condition string // of the stream error, if there was one
	closed    bool   // the server has closed the stream in order

	writing sync.Mutex
	pinged  chan string // ids to be answered: the reader may not wait for what the server does not read any more
}

// barrierID is the id of a ping of the router, and of its answer: it comes at any time, and no ledger counts either.
var barrierID = regexp.MustCompile(`^pb-[0-9a-f]{16}-\d+$`)

// element is a top-level element.
type element struct {
	XMLName xml.Name
	ID      string `xml:"id,attr"`
	From    string `xml:"from,attr"`
	To      string `xml:"to,attr"`
	Type    string `xml:"type,attr"`
	Inner   string `xml:",innerxml"`
}

// attach attaches a node and begins to read.
func attach(s *server, domain string, got func(element)) (*node, error) {
	conn, err := net.DialTimeout("tcp", s.addr, patience)
	if err != nil {
		return nil, err
	}
	n := &node{conn: conn, dec: xml.NewDecoder(conn), got: got, over: make(chan struct{}), pinged: make(chan string, 1<<10)}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if err := n.handshake(domain, s.secret); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("attach %s: %w", domain, err)
	}
	_ = conn.SetDeadline(time.Time{})
	go n.read()         // ends with the connection
	go n.answer(domain) // ends with read
	return n, nil
}

// attached is attach for a test whose server lives.
func attached(t *testing.T, s *server, domain string, got func(element)) *node {
	t.Helper()
	n, err := attach(s, domain, got)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.cut)
	return n
}

func (n *node) handshake(domain, secret string) error {
	if _, err := fmt.Fprintf(n.conn, "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='%s'>", domain); err != nil {
		return err
	}
	root, err := n.next()
	if err != nil {
		return err
	}
	id := ""
	for _, a := range root.Attr {
		if a.Name.Local == "id" {
			id = a.Value
		}
	}
	if _, err := fmt.Fprintf(n.conn, "<handshake>%x</handshake>", sha1.Sum([]byte(id+secret))); err != nil {
		return err
	}
	answer, err := n.next()
	if err == nil && answer.Name.Local != "handshake" {
		err = fmt.Errorf("refused with %s", answer.Name.Local)
	}
	return errors.Join(err, n.dec.Skip())
}

// next gives the next start tag, io.EOF at the end of the stream element.
func (n *node) next() (xml.StartElement, error) {
	for {
		tok, err := n.dec.Token()
		if err != nil {
			return xml.StartElement{}, errors.Join(io.ErrUnexpectedEOF, err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			return tok, nil
		case xml.EndElement:
			return xml.StartElement{}, io.EOF
		}
	}
}

// answer answers the router's pings.
func (n *node) answer(domain string) {
	for id := range n.pinged {
		_ = n.say("<iq type='result' id='%s' from='%s' to='hub1.im.example'/>", id, domain) // the reader sees the end of the connection
	}
}

func (n *node) read() {
	defer close(n.over)
	defer close(n.pinged)
	for {
		tag, err := n.next()
		if err != nil {
			n.closed = err == io.EOF
			_ = n.conn.Close() // RFC 6120 4.4: what is still to be written would not be read
			return
		}
		if tag.Name.Local == "error" {
			n.condition = n.streamError(tag)
			continue
		}
		var e element
		if n.dec.DecodeElement(&e, &tag) != nil {
			return
		}
		if id := barrierID.FindString(e.ID); id != "" && e.Type == "get" {
			n.pinged <- id
			continue
		}
		n.got(e)
	}
}

// streamError gives the condition of a stream error (RFC 6120 4.9.3).
func (n *node) streamError(tag xml.StartElement) string {
	var e struct {
		Children []struct{ XMLName xml.Name } `xml:",any"`
	}
	if n.dec.DecodeElement(&e, &tag) != nil || len(e.Children) == 0 {
		return "unreadable"
	}
	return e.Children[0].XMLName.Local
}

// say writes to the server.
func (n *node) say(format string, args ...any) error {
	n.writing.Lock()
	defer n.writing.Unlock()
	_, err := fmt.Fprintf(n.conn, format, args...)
	return err
}

// cut ends the connection without a word.
func (n *node) cut() {
	_ = n.conn.Close()
	<-n.over
}

// wait waits for something that a channel tells by closing.
func wait(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("wait in vain: %s", what)
	}
}
