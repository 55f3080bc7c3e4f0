package bench

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// handshakeLimit bounds the handshake of a link.
const handshakeLimit = 20 * time.Second

// Attach makes a connection the link of a node under a domain (XEP-0114 section 3).
func Attach(conn net.Conn, domain, secret string) (*Link, error) {
	_ = conn.SetDeadline(time.Now().Add(handshakeLimit))
	r := bufio.NewReaderSize(conn, 512)
	if _, err := io.WriteString(conn, "<stream:stream xmlns='"+stanza.NSComponent+"' xmlns:stream='"+stanza.NSStream+
		"' to='"+domain+"'>"); err != nil {
		return nil, fmt.Errorf("attach %s: %w", domain, err)
	}
	id, err := streamID(r)
	if err != nil {
		return nil, fmt.Errorf("attach %s: %w", domain, err)
	}
	digest := sha1.Sum([]byte(id + secret))
	if _, err = io.WriteString(conn, "<handshake>"+hex.EncodeToString(digest[:])+"</handshake>"); err == nil {
		err = accepted(r)
	}
	if err != nil {
		return nil, fmt.Errorf("attach %s: %w", domain, err)
	}
	rest, _ := r.Peek(r.Buffered())
	return &Link{Node: domain, Conn: conn, Rest: bytes.Clone(rest), Other: answerPing}, conn.SetDeadline(time.Time{})
}

// streamID reads the response stream header and gives its id.
func streamID(r *bufio.Reader) (string, error) {
	for {
		tag, err := r.ReadString('>')
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(tag, "<?") {
			continue
		}
		_, id, found := strings.Cut(tag, " id='")
		id, _, ended := strings.Cut(id, "'")
		if !found || !ended {
			return "", fmt.Errorf("read stream header: no id in %q", tag)
		}
		return id, nil
	}
}

// accepted reads the answer to the handshake.
func accepted(r *bufio.Reader) error {
	tag, err := r.ReadString('>')
	if err == nil && tag != "<handshake/>" {
		more, _ := r.Peek(r.Buffered())
		err = fmt.Errorf("read handshake: the answer is %s%s", tag, more)
	}
	return err
}

// errStanza ends a load that got a stanza it did not ask for.
var errStanza = errors.New("read stanza: it is neither of the load nor a ping")

// answerPing answers a ping of the server (XEP-0199): a library would, and the server's proof of what a node has read
// is built on it.
func answerPing(b []byte) (n int, answer []byte, err error) {
	const head = "<iq "
	if k := min(len(head), len(b)); string(b[:k]) != head[:k] {
		return 0, nil, fmt.Errorf("%w: %.300q", errStanza, b)
	}
	end := bytes.Index(b, []byte("</iq>"))
	if end < 0 {
		return 0, nil, nil
	}
	n = end + len("</iq>")
	if attribute(b[:n], "type") != "get" {
		return 0, nil, fmt.Errorf("%w: %.300q", errStanza, b)
	}
	return n, []byte("<iq type='result' id='" + attribute(b[:n], "id") + "' from='" + attribute(b[:n], "to") +
		"' to='" + attribute(b[:n], "from") + "'/>"), nil
}

// attribute gives an attribute of the first tag of b as it is written, in either kind of quotes.
func attribute(b []byte, name string) string {
	tag, _, _ := strings.Cut(string(b), ">")
	_, v, found := strings.Cut(tag, " "+name+"=")
	if !found || v == "" {
		return ""
	}
	v, _, _ = strings.Cut(v[1:], v[:1])
	return v
}

// MessageForm is a message between the addresses from and to, with marks for digits. size is that of the whole stanza;
// 0 asks for a body of that many bytes instead.
func MessageForm(from, to string, size, body int) *Form {
	text := message(from, to, size, body)
	return NewForm(text, text, messageHead, messageTail)
}

// LateForm is a message with a body of so many bytes that arrives after it has waited for its node: server says in it since when
// (XEP-0203).
func LateForm(from, to, server string, body int) *Form {
	text := message(from, to, 0, body)
	const tail = "'/></message>"
	late := strings.TrimSuffix(text, "</message>") + "<delay xmlns='urn:xmpp:delay' from='" + server + "' stamp='2002-09-10T23:08:25.000Z" + tail
	return NewForm(text, late, messageHead, tail)
}

const (
	messageHead = "<message "
	messageTail = "</body></message>"
)

func message(from, to string, size, body int) string {
	head := "<message from='" + from + "' to='" + to + "' id='" + Number + "' type='chat'><body>"
	if size > 0 {
		body = size - len(head) - len(messageTail)
	}
	return head + strings.Repeat("Meet me at the usual place. ", body/28+1)[:body] + messageTail
}

// perStatement is the most sessions that one statement may hold (protocol.md 1.1).
const perStatement = 1000

// Announce states sessions in bulk: for each name of the range the full JID jid, with marks ToDigits, in the user
// domain. It returns when each is committed. Nobody else may read the link meanwhile.
func Announce(link *Link, domain string, r Range, jid string) error {
	const ahead = 16 // statements without a result: enough for commits to be grouped
	in := link.reader()
	item := []byte("<announce jid='" + jid + "'/>")
	digits := item[bytes.Index(item, []byte(ToDigits)):][:nameDigits]
	asked, done := 0, 0
	var b []byte
	for lo := r.Lo; lo < r.Lo+r.N || done < asked; lo += perStatement {
		if lo < r.Lo+r.N {
			b = append(b[:0], "<iq type='set' id='s"+strconv.Itoa(lo)+"' from='"+link.Node+"' to='"+domain+"'><sessions xmlns='"+stanza.NSSessions+"'>"...)
			for name := lo; name < min(lo+perStatement, r.Lo+r.N); name++ {
				putDecimal(digits, uint32(name))
				b = append(b, item...)
			}
			link.Acks.says(1)
			if _, err := link.Conn.Write(append(b, "</sessions></iq>"...)); err != nil {
				return fmt.Errorf("announce: %w", err)
			}
			asked++
			if asked-done < ahead {
				continue
			}
		}
		if err := link.result(in); err != nil {
			return fmt.Errorf("announce: %w", err)
		}
		done++
	}
	return link.keep(in)
}

// Ping asks the server (XEP-0199) and returns when it has answered: what the node sent before has been read. Nobody
// else may read the link meanwhile.
func Ping(link *Link, server string) error {
	in := link.reader()
	link.Acks.says(1)
	_, err := io.WriteString(link.Conn, "<iq type='get' id='ready' from='"+link.Node+"' to='"+server+"'><ping xmlns='urn:xmpp:ping'/></iq>")
	if err == nil {
		err = link.result(in)
	}
	if err != nil {
		return fmt.Errorf("ping %s: %w", server, err)
	}
	return link.keep(in)
}

// reader reads a link by hand for a time, until keep.
func (l *Link) reader() *bufio.Reader {
	_ = l.Conn.SetDeadline(time.Now().Add(10 * time.Minute))
	return bufio.NewReader(io.MultiReader(bytes.NewReader(l.Rest), l.Conn))
}

// keep leaves what was read too much to the next reader.
func (l *Link) keep(in *bufio.Reader) error {
	rest, _ := in.Peek(in.Buffered())
	l.Rest = bytes.Clone(rest)
	return l.Conn.SetDeadline(time.Time{})
}

// result reads iqs up to a result, and answers what the server asks on the way.
func (l *Link) result(in *bufio.Reader) error {
	for {
		var iq []byte
		for !whole(iq) {
			part, err := in.ReadSlice('>')
			if err != nil {
				return err
			}
			iq = append(iq, part...)
		}
		if attribute(iq, "type") == "result" {
			l.Acks.gets()
			return nil
		}
		_, answer, err := l.Other(iq)
		if err == nil {
			_, err = l.Conn.Write(answer)
		}
		if err != nil {
			return err
		}
	}
}

// whole reports whether one iq ends here: with its end tag, or as an empty element.
func whole(iq []byte) bool {
	empty := bytes.HasSuffix(iq, []byte("/>")) && bytes.Count(iq, []byte("<")) == 1
	return empty || bytes.HasSuffix(iq, []byte("</iq>"))
}
