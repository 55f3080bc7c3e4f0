package component

import (
	"bytes"
	"crypto/sha1"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"net/netip"
	"time"

	"github.com/patchbay-im/patchbay/internal/stream"
	"github.com/patchbay-im/patchbay/stanza"
)

// Limits of a stream before it is authenticated (RFC 6120 13.12): a peer that has proved nothing gets little.
const (
	maxUnauthenticated = 10_000 // bytes in all
	handshakeDepth     = 2
	handshakeTag       = 4 << 10
	handshakeAttrs     = 32
)

// maxLang bounds the xml:lang of a stream header, in bytes: who bounds language tags allows as much (RFC 5646 4.4.1).
const maxLang = 35

// maxShown bounds the names that a text shows, in bytes: texts stay under 200.
const maxShown = 64

// Acceptor is what the accepting side needs to know to grant a domain to a peer. Its fields are set once; it must not be copied
// after its first use. A domain with neither secrets nor roots may not attach.
type Acceptor struct {
	// Secrets gives the secrets that are valid for a canonical domain, for the handshake of XEP-0114 3 and for SCRAM-SHA-256.
	Secrets func(domain string) [][]byte
	// Roots gives the authorities whose client certificates prove a canonical domain (SASL EXTERNAL), nil if none do. The
	// func may be nil.
	Roots func(domain string) *x509.CertPool
	// Ours reports whether a domain is the server's own or a user domain, which no peer may take.
	Ours func(domain string) bool
	// Gate slows down addresses that fail too often.
	Gate *Gate

	vault vault
}

// roots gives the authorities of a domain.
func (a *Acceptor) roots(domain string) *x509.CertPool {
	if a.Roots == nil {
		return nil
	}
	return a.Roots(domain)
}

// Initiator is the initiating entity of a stream (RFC 6120 1.3): who connects. Set once.
type Initiator struct {
	Addr netip.Addr
	// Trusted: the operator named its address, so the texts of errors may say how to mend the configuration.
	Trusted bool
	// Deny is why it may not attach, whatever its name and secret; nil if it may. It is told once it has said its name.
	Deny *stanza.StreamError
	// TLS is what the connection was secured with, nil if it was not.
	TLS *tls.ConnectionState
	// StartTLS: a modern stream may be secured on this connection (RFC 6120 5). Deny then means that it must be.
	StartTLS bool
	// Failed is told of each failed proof of a modern stream before the peer is, and may wait. It may be nil.
	Failed func(*Failure)
}

// Handshake is the opening of one accepted component stream: header, proof, verdict. The reader of the
// connection feeds it.
//
//	peer  ──► <stream:stream to='node1.im.example'>      header   is the name served?
//	peer  ◄── <stream:stream from='node1…' id='…'>
//	peer  ──► <handshake>hex(sha1(id + secret))</handshake>
//	                                                     done     the caller answers <handshake/>
//
// A modern stream has features behind each header of ours; see modern.
type Handshake struct {
	// set once
	acceptor *Acceptor
	write    func([]byte) error
	peer     Initiator

	// owned by the reader
	sc      *stanza.Scanner
	seen    int // bytes, over all restarts of the stream
	id      string
	domain  string
	secrets [][]byte
	opened  bool // our own header is sent
	wrong   bool // the digest was
	modern
}

// NewHandshake begins to accept a stream from a peer. write sends bytes to it and may block; it is called by Feed only.
func NewHandshake(a *Acceptor, peer Initiator, write func([]byte) error) *Handshake {
	return &Handshake{acceptor: a, write: write, peer: peer, id: stream.NewID(),
		sc: stanza.NewScanner(stanza.Limits{Stanza: maxUnauthenticated, Depth: handshakeDepth, Tag: handshakeTag, Attrs: handshakeAttrs})}
}

// Domain is the name the peer asked for, canonical; empty before it did.
func (h *Handshake) Domain() string { return h.domain }

// WrongDigest reports whether the peer was refused because no secret of its domain gives the digest it sent.
func (h *Handshake) WrongDigest() bool { return h.wrong }

// Scanner is the stream's Scanner, to go on with once the handshake is done.
func (h *Handshake) Scanner() *stanza.Scanner { return h.sc }

// Feed takes bytes and returns how many it has used; done: the peer has proved that it may have Domain, and
// what follows in b are its stanzas, unless Opening says otherwise. An error is ErrStartTLS, ErrLeft, a
// *stanza.StreamError to be given to Refuse, or io trouble.
func (h *Handshake) Feed(b []byte) (n int, done bool, err error) {
	if h.phase == tlsDue {
		return 0, false, ErrStartTLS
	}
	var el stanza.Header
	for {
		tok, used, err := h.sc.Next(b[n:], &el)
		n += used
		h.seen += used
		switch {
		case err != nil:
			return n, false, err
		case tok == stanza.None:
			if h.seen+len(b)-n > maxUnauthenticated {
				return n, false, h.tooMuch()
			}
			return n, false, nil
		case h.ask && h.seen > maxUnauthenticated:
			return n, false, h.tooMuch()
		case tok == stanza.End:
			return n, false, h.left()
		case tok == stanza.Open:
			err = h.open()
		default:
			done, err = h.element(&el, b[n:])
		}
		if done || err != nil {
			return n, done, err
		}
	}
}

func (h *Handshake) tooMuch() error {
	if h.ask {
		return fault("policy-violation", "more than 10000 bytes came before the stream was enabled; send less")
	}
	return fault("policy-violation", "more than 10000 bytes came before the handshake; send header and handshake first (XEP-0114)")
}

// left is the error for a peer that has ended its stream.
func (h *Handshake) left() error {
	if h.ask {
		return ErrLeft
	}
	return fault("not-authorized", "the stream ended before the handshake; send the handshake behind the header (XEP-0114)")
}

// element judges a top-level element; rest is what came with it.
func (h *Handshake) element(el *stanza.Header, rest []byte) (done bool, err error) {
	if h.ask {
		return h.modernElement(el, rest)
	}
	err = h.verify(el)
	return err == nil, err
}

func fault(condition, text string) error {
	return &stanza.StreamError{Condition: condition, Text: text}
}

// open judges a stream header and answers it.
func (h *Handshake) open() error {
	sh := h.sc.StreamHeader()
	if h.domain == "" {
		h.ask = sh.Modern
	}
	if sh.NS != stanza.NSComponent {
		return fault("invalid-namespace", "the stream is not in "+stanza.NSComponent+"; attach as an external component (XEP-0114), not as a client or a server")
	}
	if sh.To == "" {
		return fault("host-unknown", "the stream header has no to; put the domain that the component serves there (XEP-0114)")
	}
	to, _, err := stanza.ParseAddress([]byte(sh.To), false, nil)
	if err != nil || !to.IsDomain() {
		return fault("host-unknown", "the to of the stream header is not a domain; put the domain that the component serves there (XEP-0114)")
	}
	if h.domain != "" {
		return h.reopen(to.String(), sh)
	}
	h.domain = to.String()
	if h.peer.Deny != nil && !h.MustSecure() {
		return h.peer.Deny
	}
	if h.acceptor.Ours(h.domain) {
		return fault("conflict", "the domain is the server's own or a user domain; give the node a domain of its own")
	}
	h.secrets, h.roots = h.acceptor.Secrets(h.domain), h.acceptor.roots(h.domain)
	if len(h.secrets) == 0 && h.roots == nil {
		text := "the domain may not attach here; check how it is written"
		if h.peer.Trusted {
			text += ", or add it under nodes: in the configuration"
		}
		h.acceptor.Gate.Failed(h.peer.Addr)
		return fault("host-unknown", text)
	}
	return h.answer()
}

// answer sends our stream header once, with the features of a modern stream.
func (h *Handshake) answer() error {
	if sh := h.sc.StreamHeader(); len(sh.Lang) > maxLang {
		// It goes into each stanza that has none (RFC 6120 4.7.4), and so would multiply what others receive. It is
		// ignored and not refused, because it may be valid: stanzas without a language still arrive.
		sh.Lang = ""
	}
	if h.opened {
		return nil
	}
	b := h.header(nil)
	if h.ask {
		var err error
		if b, err = h.appendFeatures(b); err != nil {
			return err
		}
	}
	h.opened = true
	return h.write(b)
}

// header appends our stream header. It is from the name that the peer asked for, or, if that may not attach, from nobody: never from a
// name that is not served (RFC 6120 4.9.1.3), nor from one that would tell a stranger what is.
func (h *Handshake) header(b []byte) []byte {
	from := h.domain
	if len(h.secrets) == 0 && h.roots == nil {
		from = ""
	}
	if h.ask {
		return stream.AppendModernHeader(b, from, h.id)
	}
	return stream.AppendHeader(b, stanza.NSComponent, from, h.id)
}

// verify judges the handshake element.
func (h *Handshake) verify(el *stanza.Header) error {
	if string(el.Local()) != "handshake" || string(h.sc.Space(el)) != stanza.NSComponent {
		return fault("not-authorized", "something else came before the handshake; send the handshake first (XEP-0114)")
	}
	w := el.Walk()
	w.Next()
	digest, _ := w.Text()
	plain := el.Children == 0 && bareTag(el)
	if !plain || !h.matches(digest) {
		h.acceptor.Gate.Failed(h.peer.Addr)
		h.wrong = true
		if len(h.secrets) == 0 {
			return fault("not-authorized", "this domain has no secret, it attaches with a client certificate only; use a modern stream over TLS (EXTERNAL)")
		}
		return fault("not-authorized", "handshake does not match the secret for "+h.shown()+
			"; check the secret (a library sends the lower-case hex of sha1(stream id + secret))")
	}
	return nil
}

// shown is the domain as a text may name it.
func (h *Handshake) shown() string {
	if len(h.domain) > maxShown {
		return "this domain"
	}
	return h.domain
}

// bareTag reports a start tag with nothing in it but its name, and perhaps a declaration of the content namespace.
func bareTag(el *stanza.Header) bool {
	tag := el.Raw[el.NameEnd:]
	if el.XMLNS.Set() {
		if el.XMLNS.Outer.Lo != el.NameEnd {
			return false
		}
		tag = el.Raw[el.XMLNS.Outer.Hi:]
	}
	return bytes.HasPrefix(bytes.TrimLeft(tag, " \t\r\n"), []byte(">"))
}

// matches compares in constant time with each valid secret (S10), whichever of them is right.
func (h *Handshake) matches(digest []byte) bool {
	ok := 0
	for _, secret := range h.secrets {
		sum := sha1.Sum(append([]byte(h.id), secret...))
		var want [2 * sha1.Size]byte
		hex.Encode(want[:], sum[:])
		ok |= subtle.ConstantTimeCompare(digest, want[:])
	}
	return ok == 1
}

// Refuse gives the bytes that end the stream with an error; our own header comes first if the peer has none
// yet (RFC 6120 4.9.1.2).
func (h *Handshake) Refuse(e *stanza.StreamError) []byte {
	var b []byte
	if !h.opened {
		h.opened = true
		b = h.header(b)
	}
	return e.AppendTo(b)
}

// Penalty is how long the answer to this peer must wait; see Gate.
func (h *Handshake) Penalty() time.Duration { return h.acceptor.Gate.Penalty(h.peer.Addr) }

// Accepted is the element that grants the domain.
const Accepted = "<handshake/>"
