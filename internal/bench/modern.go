package bench

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// Modern is how nodes attach by modern streams.
type Modern struct {
	Secret   string
	StartTLS *tls.Config // nil: the connection is taken as it is
}

// opening is one handshake.
type opening struct {
	conn   net.Conn
	in     *bufio.Reader
	domain string
}

// Attach makes a connection the link of a node under a domain: STARTTLS if that is asked for, SCRAM-SHA-256, and acknowledgements
// (RFC 6120 5 and 6, XEP-0198 3).
func (m *Modern) Attach(conn net.Conn, domain string) (*Link, error) {
	a := &Acks{key: &scram{secret: m.Secret}}
	link, enabled, err := m.open(conn, domain, a, "<enable xmlns='"+stanza.NSSM+"' resume='true'/>")
	if err != nil {
		return nil, fmt.Errorf("attach %s: %w", domain, err)
	}
	a.id = attribute([]byte(enabled), "id")
	return link, nil
}

// Resume makes a connection go on with a link that has ended (XEP-0198 5). What the server did not get of it is not sent again.
func (m *Modern) Resume(conn net.Conn, old *Link) (*Link, error) {
	was := old.Acks
	a := &Acks{id: was.id, key: was.key, handled: was.handled}
	ask := "<resume xmlns='" + stanza.NSSM + "' previd='" + was.id + "' h='" + strconv.FormatUint(uint64(was.handled), 10) + "'/>"
	link, resumed, err := m.open(conn, old.Node, a, ask)
	if err == nil && !strings.HasPrefix(resumed, "<resumed ") {
		err = fmt.Errorf("the answer is %s", resumed)
	}
	if err == nil {
		a.sent.Store(was.sent.Load())
		a.told.Store(was.told.Load())
		err = a.take(attribute([]byte(resumed), "h"))
	}
	if err != nil {
		return nil, fmt.Errorf("resume %s: %w", old.Node, err)
	}
	a.sent.Store(a.told.Load())
	return link, nil
}

// open runs a handshake, whose last word is given, and gives what the server answers to that.
func (m *Modern) open(conn net.Conn, domain string, a *Acks, last string) (link *Link, answer string, err error) {
	_ = conn.SetDeadline(time.Now().Add(handshakeLimit))
	o := &opening{conn: conn, in: bufio.NewReaderSize(conn, 512), domain: domain}
	_, err = o.header()
	if err == nil && m.StartTLS != nil {
		err = o.secure(m.StartTLS)
	}
	if err == nil {
		err = o.prove(a.key)
	}
	if err == nil {
		_, err = o.header()
	}
	if err == nil {
		answer, err = o.ask(last, ">")
	}
	if err != nil {
		return nil, "", err
	}
	rest, _ := o.in.Peek(o.in.Buffered())
	return &Link{Node: domain, Conn: o.conn, Rest: bytes.Clone(rest), Other: a.answer, Acks: a}, answer, o.conn.SetDeadline(time.Time{})
}

// ask says something, and gives what is answered, up to a tag.
func (o *opening) ask(text, until string) (heard string, err error) {
	if _, err := io.WriteString(o.conn, text); err != nil {
		return "", err
	}
	for !strings.HasSuffix(heard, until) {
		tag, err := o.in.ReadString('>')
		if heard += tag; err != nil {
			return "", fmt.Errorf("wait for %s: %w behind %q", until, err, heard)
		}
		if strings.HasPrefix(tag, "<failure") || strings.HasPrefix(tag, "<stream:error") {
			more, _ := o.in.Peek(o.in.Buffered())
			return "", fmt.Errorf("wait for %s: the answer is %s%s", until, tag, more)
		}
	}
	return heard, nil
}

// header opens the stream, and gives the server's header and features.
func (o *opening) header() (features string, err error) {
	return o.ask("<stream:stream xmlns='"+stanza.NSComponent+"' xmlns:stream='"+stanza.NSStream+"' xmlns:pb='"+stanza.NSModern+
		"' pb:modern='1' version='1.0' to='"+o.domain+"'>", "</stream:features>")
}

// secure goes over to TLS, and opens the stream anew.
func (o *opening) secure(c *tls.Config) error {
	if _, err := o.ask("<starttls xmlns='"+stanza.NSTLS+"'/>", "<proceed xmlns='"+stanza.NSTLS+"'/>"); err != nil {
		return err
	}
	o.conn = tls.Client(o.conn, c)
	o.in.Reset(o.conn)
	_, err := o.header()
	return err
}

// prove proves the domain by SCRAM-SHA-256 (RFC 7677), and has the server prove that it knows the secret.
func (o *opening) prove(key *scram) error {
	bare := "n=" + o.domain + ",r=" + rand.Text()
	said, err := o.ask("<auth xmlns='"+stanza.NSSASL+"' mechanism='SCRAM-SHA-256'>"+encode("n,,"+bare)+"</auth>", "</challenge>")
	if err != nil {
		return err
	}
	challenge, err := content(said)
	if err != nil {
		return err
	}
	final, signature, err := key.answer(bare, challenge)
	if err != nil {
		return err
	}
	said, err = o.ask("<response xmlns='"+stanza.NSSASL+"'>"+encode(final)+"</response>", "</success>")
	if err != nil {
		return err
	}
	if verdict, err := content(said); err != nil || verdict != "v="+encode(signature) {
		return errors.New("prove the domain: the server does not know the secret")
	}
	return nil
}

// scram knows a secret, and remembers what is costly to make of it: a node comes back with the same.
type scram struct {
	secret, salt string
	salted       []byte
}

// answer gives the node's last message and the signature that the server must give (RFC 5802 section 3).
func (s *scram) answer(bare, challenge string) (final, signature string, err error) {
	f := strings.Split(challenge, ",")
	if len(f) != 3 || f[0][:2] != "r=" || f[1][:2] != "s=" || f[2][:2] != "i=" {
		return "", "", fmt.Errorf("prove the domain: the challenge is %q", challenge)
	}
	if salt := f[1][2:]; salt != s.salt {
		raw, err := base64.StdEncoding.DecodeString(salt)
		rounds, bad := strconv.Atoi(f[2][2:])
		if err = errors.Join(err, bad); err == nil {
			s.salted, err = pbkdf2.Key(sha256.New, s.secret, raw, rounds, sha256.Size)
		}
		if err != nil {
			return "", "", fmt.Errorf("prove the domain: %w", err)
		}
		s.salt = salt
	}
	final = "c=" + encode("n,,") + "," + f[0]
	all := bare + "," + challenge + "," + final
	key := sign(string(s.salted), "Client Key")
	stored := sha256.Sum256([]byte(key))
	proof := []byte(sign(string(stored[:]), all))
	for i := range proof {
		proof[i] ^= key[i]
	}
	return final + ",p=" + encode(string(proof)), sign(sign(string(s.salted), "Server Key"), all), nil
}

func sign(key, text string) string {
	h := hmac.New(sha256.New, []byte(key))
	_, _ = io.WriteString(h, text) // never fails (hash.Hash)
	return string(h.Sum(nil))
}

func encode(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// content gives what an element of SASL holds.
func content(element string) (string, error) {
	_, text, _ := strings.Cut(element, ">")
	text, _, _ = strings.Cut(text, "<")
	raw, err := base64.StdEncoding.DecodeString(text)
	return string(raw), err
}
