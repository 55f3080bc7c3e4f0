package component

import (
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	wire "github.com/patchbay-im/patchbay/stanza"
)

// unfit is why a server that answers is of no use to the node. Waiting does not mend that: it ends Dial.
type unfit string

// Error gives the reason.
func (u unfit) Error() string { return string(u) }

const (
	errNoTLS     = unfit("the server offers no STARTTLS here, and nothing is sent without TLS; use its listener for TLS (listen.component_tls) without Config.StartTLS, or give it a certificate")
	errWantsTLS  = unfit("the server wants TLS; set Config.TLS, and Config.StartTLS unless the address is a listener for TLS")
	errPlaintext = unfit("bytes came behind <proceed/> and before TLS; somebody between here and the server may have put them there (RFC 6120 5.3.3)")
	errNoSecret  = unfit("the server knows XEP-0114 only and the configuration has no secret; set Config.Secret")
)

// dialing is one attempt to open a stream, from the connection to the moment when stanzas may flow. One goroutine runs it.
//
//	header ─► answer ─┬─ without pb:modern ─► handshake (XEP-0114)                             plain
//	                  └─ features ─► [STARTTLS, header] ─► SASL, header ─► resume or enable    acked
type dialing struct {
	node  *Node
	addr  string
	plain bool // ask for XEP-0114 only
	conn  net.Conn
	link  *linkConn
	dec   *xml.Decoder

	secure   bool // TLS is there
	answered bool // the server has answered the first header,
	modern   bool // and speaks of features
	out      opened
}

// opened is a stream that is open.
type opened struct {
	carrier *carrier
	addr    string
	acked   bool          // XEP-0198 is enabled
	id      string        // to resume it by; empty: it cannot be resumed
	life    time.Duration // how long the server keeps it for a resumption
	resumed bool
	said    uint32 // our h in <resume/>
	handled uint32 // the server's h in <resumed/>
}

// open opens the stream on o.conn.
func (o *dialing) open(ctx context.Context) error {
	if o.node.cfg.TLS != nil && !o.node.cfg.StartTLS {
		if err := o.encrypt(ctx); err != nil {
			return err
		}
	}
	o.link = newLinkConn(o.conn, 2*o.node.cfg.MaxStanza)
	root, err := o.header()
	if err != nil {
		return err
	}
	o.answered = true
	if o.modern = !o.plain && isModern(root); o.modern {
		return o.negotiate(ctx)
	}
	if o.node.cfg.StartTLS {
		return errNoTLS
	}
	return o.handshake(root)
}

// encrypt makes TLS on the connection.
func (o *dialing) encrypt(ctx context.Context) error {
	conn, err := secure(ctx, o.conn, o.addr, o.node.cfg.TLS)
	if err == nil {
		o.conn, o.secure = conn, true
	}
	return err
}

// header begins a stream and reads the server's answer.
func (o *dialing) header() (xml.StartElement, error) {
	o.link.left = headerBudget
	o.dec = xml.NewDecoder(o.link)
	b := []byte("<stream:stream xmlns='" + wire.NSComponent + "' xmlns:stream='" + wire.NSStream + "'")
	if !o.plain {
		b = append(b, " xmlns:pb='"+wire.NSModern+"' pb:modern='1' version='1.0'"...)
	}
	b = append(wire.AppendEscaped(append(b, " to='"...), []byte(o.node.domain.String())), "'>"...)
	if err := o.write(b); err != nil {
		return xml.StartElement{}, err
	}
	for {
		tok, err := o.dec.Token()
		if err != nil {
			return xml.StartElement{}, cutOff(err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if t.Name != (xml.Name{Space: wire.NSStream, Local: "stream"}) {
				return t, unfit(fmt.Sprintf("the server opened no stream, but began with %q", t.Name.Local))
			}
			return t.Copy(), nil
		case xml.ProcInst, xml.CharData: // the XML declaration, and white space behind it
		default:
			return xml.StartElement{}, unfit("the server began with something that is no stream header")
		}
	}
}

// isModern reports whether the server's header says that features follow.
func isModern(root xml.StartElement) bool {
	marked := slices.ContainsFunc(root.Attr, func(a xml.Attr) bool {
		return a.Name == xml.Name{Space: wire.NSModern, Local: "modern"} && a.Value == "1"
	})
	return marked && attr(root, "version") == "1.0"
}

func (o *dialing) write(b []byte) error {
	_, err := o.link.Write(b)
	return err
}

// element reads the next element at the top of the stream.
func (o *dialing) element() (xml.StartElement, []xml.Token, error) {
	start, err := topElement(o.dec)
	if err != nil {
		return start, nil, err
	}
	rest, err := readElement(o.dec)
	return start, rest, err
}

// handshake proves by XEP-0114 that the node may have its domain.
func (o *dialing) handshake(root xml.StartElement) error {
	if o.node.cfg.Secret == "" {
		return errNoSecret
	}
	id := attr(root, "id")
	if id == "" {
		return unfit("the server's stream has no id, and there is no proof of the secret without (XEP-0114 section 3)")
	}
	sum := sha1.Sum([]byte(id + o.node.cfg.Secret))
	// A server that refuses the name may have closed the connection already: its reason can be read nevertheless.
	unwritten := o.write(fmt.Appendf(nil, "<handshake>%x</handshake>", sum))
	start, _, err := o.element()
	var told *wire.StreamError
	if unwritten != nil && !errors.As(err, &told) {
		return unwritten
	}
	if err == nil && start.Name.Local == "features" { // of a server that heeds version='1.0'
		start, _, err = o.element()
	}
	if err == nil && start.Name.Local != "handshake" {
		err = unfit(fmt.Sprintf("the server answered the handshake with %q", start.Name.Local))
	}
	return err
}

// features are what a server offers (RFC 6120 4.3.2).
type features struct {
	tls, tlsRequired, management bool
	mechanisms                   []string
}

// negotiate goes on from the answer to the first header.
func (o *dialing) negotiate(ctx context.Context) error {
	for authenticated := false; ; {
		f, err := o.features()
		switch {
		case err != nil:
			return err
		case o.node.cfg.TLS != nil && !o.secure:
			err = o.startTLS(ctx, f)
		case f.tlsRequired && !o.secure:
			return errWantsTLS
		case authenticated:
			return o.manage(f)
		default:
			authenticated = true
			err = o.authenticate(f.mechanisms)
		}
		if err != nil {
			return err
		}
		root, err := o.header()
		if err != nil {
			return err
		}
		if !isModern(root) {
			return unfit("the server answered a restart of the stream without pb:modern")
		}
	}
}

// features reads what is offered.
func (o *dialing) features() (features, error) {
	var f features
	start, rest, err := o.element()
	if err != nil {
		return f, err
	}
	if start.Name != (xml.Name{Space: wire.NSStream, Local: "features"}) {
		return f, unfit(fmt.Sprintf("the server sent %q where features belong (RFC 6120 4.3.2)", start.Name.Local))
	}
	for i, tok := range rest {
		child, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		switch child.Name {
		case xml.Name{Space: wire.NSTLS, Local: "starttls"}:
			f.tls = true
		case xml.Name{Space: wire.NSTLS, Local: "required"}:
			f.tlsRequired = true
		case xml.Name{Space: wire.NSSM, Local: "sm"}:
			f.management = true
		case xml.Name{Space: wire.NSSASL, Local: "mechanism"}:
			if name, ok := rest[i+1].(xml.CharData); ok { // there is its end tag at least
				f.mechanisms = append(f.mechanisms, strings.TrimSpace(string(name)))
			}
		}
	}
	return f, nil
}

// startTLS goes over to TLS (RFC 6120 5.4). What the server said before is forgotten.
func (o *dialing) startTLS(ctx context.Context, f features) error {
	if !f.tls {
		return errNoTLS
	}
	if err := o.write([]byte("<starttls xmlns='" + wire.NSTLS + "'/>")); err != nil {
		return err
	}
	start, _, err := o.element()
	if err != nil {
		return err
	}
	if start.Name != (xml.Name{Space: wire.NSTLS, Local: "proceed"}) {
		return unfit(fmt.Sprintf("the server answered <starttls/> with %q", start.Name.Local))
	}
	if o.link.br.Buffered() > 0 {
		return errPlaintext
	}
	if err := o.encrypt(ctx); err != nil {
		return err
	}
	o.link = newLinkConn(o.conn, o.link.limit)
	return nil
}

// manage resumes what was before, or else enables XEP-0198 anew.
func (o *dialing) manage(f features) error {
	if !f.management {
		return unfit("the server offers no stream management (XEP-0198)")
	}
	if p := o.node.past; p != nil && p.id != "" {
		if err := o.resume(p); err != nil || o.out.resumed {
			return err
		}
	}
	if err := o.write([]byte("<enable xmlns='" + wire.NSSM + "' resume='true'/>")); err != nil {
		return err
	}
	start, _, err := o.element()
	if err != nil {
		return err
	}
	if start.Name != (xml.Name{Space: wire.NSSM, Local: "enabled"}) {
		return unfit(fmt.Sprintf("the server answered <enable/> with %q", start.Name.Local))
	}
	o.out.acked = true
	if resume := attr(start, "resume"); resume == "true" || resume == "1" {
		o.out.id = attr(start, "id")
	}
	o.out.life = DefaultMaxWait
	if seconds, err := strconv.ParseUint(attr(start, "max"), 10, 31); err == nil && seconds > 0 {
		o.out.life = time.Duration(seconds) * time.Second
	}
	return nil
}

// resume asks for the stream of before. A server that does not have it any more may still say how much of it was in its
// custody.
func (o *dialing) resume(p *past) error {
	o.out.said = p.link.handled()
	ask := fmt.Appendf(nil, "<resume xmlns='%s' h='%d' previd='", wire.NSSM, o.out.said)
	ask = append(wire.AppendEscaped(ask, []byte(p.id)), "'/>"...)
	if err := o.write(ask); err != nil {
		return err
	}
	start, _, err := o.element()
	if err != nil {
		var told *wire.StreamError
		if errors.As(err, &told) {
			o.node.forget(told)
		}
		return err
	}
	h, herr := strconv.ParseUint(attr(start, "h"), 10, 32)
	switch start.Name {
	case xml.Name{Space: wire.NSSM, Local: "resumed"}:
		if herr != nil || attr(start, "previd") != p.id {
			return unfit("the server resumed the stream without its id and h")
		}
		o.out.resumed, o.out.acked, o.out.handled = true, true, uint32(h)
	case xml.Name{Space: wire.NSSM, Local: "failed"}:
		p.id = ""
		if herr == nil {
			p.handled, p.known = uint32(h), true
		}
	default:
		err = unfit(fmt.Sprintf("the server answered <resume/> with %q", start.Name.Local))
	}
	return err
}

// hasCertificate reports whether a TLS configuration has a certificate to show.
func hasCertificate(c *tls.Config) bool {
	return c != nil && (len(c.Certificates) > 0 || c.GetClientCertificate != nil)
}
