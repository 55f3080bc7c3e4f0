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
	return &Link{Conn: conn, Rest: bytes.Clone(rest), Other: answerPing}, conn.SetDeadline(time.Time{})
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
	const head = "<iq type='get' "
	end := bytes.Index(b, []byte("</iq>"))
	if !strings.HasPrefix(string(b[:min(len(head), len(b))]), head[:min(len(head), len(b))]) {
		return 0, nil, fmt.Errorf("%w: %.300q", errStanza, b)
	}
	if end < 0 {
		return 0, nil, nil
	}
	n = end + len("</iq>")
	answer = append(answer, "<iq type='result' id='"...)
	answer = append(answer, attribute(b[:n], "id")...)
	answer = append(append(answer, "' from='"...), attribute(b[:n], "to")...)
	answer = append(append(answer, "' to='"...), attribute(b[:n], "from")...)
	return n, append(answer, "'/>"...), nil
}

func attribute(b []byte, name string) []byte {
	_, v, _ := bytes.Cut(b, []byte(" "+name+"='"))
	v, _, _ = bytes.Cut(v, []byte("'"))
	return v
}

// MessageForm is a message between the addresses from and to, with marks for digits. size is that of the whole stanza;
// 0 asks for a body of that many bytes instead.
func MessageForm(from, to string, size, body int) *Form {
	head := "<message from='" + from + "' to='" + to + "' id='" + Number + "' type='chat'><body>"
	const tail = "</body></message>"
	if size > 0 {
		body = size - len(head) - len(tail)
	}
	text := head + strings.Repeat("Meet me at the usual place. ", body/28+1)[:body] + tail
	return NewForm(text, text, "<message ", tail)
}

// perStatement is the most sessions that one statement may hold (protocol.md 1.1).
const perStatement = 1000

// Announce states sessions in bulk: for each name of the range the full JID that jid gives, in the user domain. It
// returns when each is committed. Nothing else may be read from the link meanwhile.
func Announce(link *Link, node, domain string, r Range, jid func(name int) string) error {
	_ = link.Conn.SetDeadline(time.Now().Add(10 * time.Minute))
	const ahead = 16 // statements without a result: enough for commits to be grouped
	in := bufio.NewReader(link.Conn)
	asked, done := 0, 0
	var b []byte
	for lo := r.Lo; lo < r.Lo+r.N || done < asked; lo += perStatement {
		if lo < r.Lo+r.N {
			b = append(b[:0], "<iq type='set' id='s"+strconv.Itoa(lo)+"' from='"+node+"' to='"+domain+"'><sessions xmlns='"+stanza.NSSessions+"'>"...)
			for name := lo; name < min(lo+perStatement, r.Lo+r.N); name++ {
				b = append(append(append(b, "<announce jid='"...), jid(name)...), "'/>"...)
			}
			if _, err := link.Conn.Write(append(b, "</sessions></iq>"...)); err != nil {
				return fmt.Errorf("announce: %w", err)
			}
			asked++
			if asked-done < ahead {
				continue
			}
		}
		if err := result(in); err != nil {
			return fmt.Errorf("announce: %w", err)
		}
		done++
	}
	return link.Conn.SetDeadline(time.Time{})
}

// result reads one iq, which must be a result.
func result(r *bufio.Reader) error {
	var iq []byte
	for !bytes.HasSuffix(iq, []byte("</iq>")) {
		part, err := r.ReadSlice('>')
		if err != nil {
			return err
		}
		iq = append(iq, part...)
	}
	if !bytes.HasPrefix(iq, []byte("<iq type='result'")) {
		return fmt.Errorf("%w: %.300q", errStanza, iq)
	}
	return nil
}
