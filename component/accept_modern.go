package component

import (
	"crypto/tls"
	"crypto/x509"
	"errors"

	"github.com/patchbay-im/patchbay/internal/stream"
	"github.com/patchbay-im/patchbay/stanza"
)

// What ends Feed besides a *stanza.StreamError.
var (
	// ErrStartTLS: <proceed/> is written. The caller secures the connection, calls Secured and feeds again what comes over TLS.
	ErrStartTLS = errors.New("secure the stream (RFC 6120 5)")
	// ErrLeft: the peer of a modern stream has closed it before it was attached.
	ErrLeft = errors.New("the peer closed its stream before it was attached")
)

// The ways to prove a domain, as Handshake.Method says them; the last two are the names of SASL mechanisms.
const (
	MethodHandshake = "handshake" // XEP-0114 3
	MethodSCRAM     = "SCRAM-SHA-256"
	MethodExternal  = "EXTERNAL"
)

// phase is what a modern stream waits for.
type phase uint8

const (
	proofDue  phase = iota // STARTTLS or SASL
	tlsDue                 // the caller, to secure the connection
	headerDue              // the header behind a restart (RFC 6120 4.3.3)
	enableDue              // <enable/> or <resume/> (XEP-0198)
)

// modern is the part of a Handshake that only modern streams have. All of it is owned by the reader.
//
//	peer  ──► <stream:stream pb:modern='1' version='1.0'>   peer  ◄── header, features: starttls, mechanisms
//	peer  ──► <starttls/>                                   peer  ◄── <proceed/>, then TLS, and from the top again
//	peer  ──► <auth mechanism='SCRAM-SHA-256'> ...          peer  ◄── <success>, and from the top again
//	peer  ──► <stream:stream>                               peer  ◄── header, features: sm, required
//	peer  ──► <enable/> or <resume/>                        done      Opening tells which, the caller answers
type modern struct {
	ask      bool // the peer's header asks for a modern stream
	phase    phase
	roots    *x509.CertPool
	origin   string   // the from of the peer's header, once it has said one
	exchange exchange // nil: none has begun
	tries    int      // failed proofs
	method   string   // that proved the domain, "" while none has
	offered  string   // the mechanism of the exchange
	opening  Opening
	refused  bool // a resumption was
}

// Opening is what a stream that is done has asked for.
type Opening struct {
	Modern bool   // false: a plain stream of XEP-0114, and the rest is zero
	Enable bool   // <enable/>, a new session of XEP-0198
	Resume bool   // with Enable: one that can be resumed
	PrevID string // without Enable: the session to be resumed
	H      uint32 // with PrevID: how many stanzas the peer has handled in it
}

// Opening tells what the stream has asked for, once Feed was done.
func (h *Handshake) Opening() Opening { return h.opening }

// Method is how the domain was proved, once it was: MethodHandshake, MethodSCRAM or MethodExternal.
func (h *Handshake) Method() string {
	if !h.ask {
		return MethodHandshake
	}
	return h.method
}

// Secured goes on behind ErrStartTLS, once the connection is secured: the stream begins anew, and nothing of what was said
// before counts (RFC 6120 5.4.3.3).
func (h *Handshake) Secured(cs tls.ConnectionState) {
	h.peer.TLS, h.peer.Deny = &cs, nil
	h.restart()
}

// restart forgets the stream (RFC 6120 4.3.3); a new header is due.
func (h *Handshake) restart() {
	h.sc.Reset()
	h.id, h.opened = stream.NewID(), false
	h.exchange = nil
	h.phase = headerDue
}

// reopen judges a header behind a restart: it must name what the first one named (CVE-2018-10847).
func (h *Handshake) reopen(to string, sh *stanza.StreamHeader) error {
	switch {
	case to != h.domain:
		return fault("not-authorized", "the header names another domain than the one before; send the same each time")
	case h.origin != "" && sh.From != "" && sh.From != h.origin:
		return fault("not-authorized", "the header has another from than the one before; send the same each time")
	case !sh.Modern:
		return fault("policy-violation", "the header asks for no modern stream, and the one before did; write version='1.0' and modern='1' in "+stanza.NSModern+" each time")
	}
	return h.answer()
}

// MustSecure reports whether nothing but STARTTLS may come from the peer of a modern stream.
func (h *Handshake) MustSecure() bool {
	return h.ask && h.peer.TLS == nil && h.peer.StartTLS && h.peer.Deny != nil
}

// appendFeatures appends the features that the stream has now (RFC 6120 4.3.2).
func (h *Handshake) appendFeatures(b []byte) ([]byte, error) {
	h.origin = h.sc.StreamHeader().From
	b = append(b, "<stream:features>"...)
	if h.method != "" {
		h.phase = enableDue
		return append(b, "<sm xmlns='"+stanza.NSSM+"'><required/></sm></stream:features>"...), nil
	}
	h.phase = proofDue
	begun := len(b)
	if h.MustSecure() {
		return append(b, "<starttls xmlns='"+stanza.NSTLS+"'><required/></starttls></stream:features>"...), nil
	}
	if h.peer.TLS == nil && h.peer.StartTLS {
		b = append(b, "<starttls xmlns='"+stanza.NSTLS+"'/>"...)
	}
	if all := h.mechanisms(); len(all) > 0 {
		b = append(b, "<mechanisms xmlns='"+stanza.NSSASL+"'>"...)
		for _, name := range all {
			b = append(b, "<mechanism>"+name+"</mechanism>"...)
		}
		b = append(b, "</mechanisms>"...)
	}
	if len(b) == begun {
		return nil, fault("not-authorized", "this domain has no secret, it attaches with a client certificate over TLS only; give it one")
	}
	return append(b, "</stream:features>"...), nil
}

// modernElement judges a top-level element of a modern stream.
func (h *Handshake) modernElement(el *stanza.Header, rest []byte) (done bool, err error) {
	space, name := string(h.sc.Space(el)), string(el.Local())
	switch {
	case h.phase == enableDue:
		return h.manage(el, space, name)
	case space == stanza.NSTLS && name == "starttls":
		return false, h.startTLS(rest)
	case space == stanza.NSSASL:
		return false, h.authenticate(el, name)
	case h.MustSecure():
		return false, fault("policy-violation", "this address may attach over TLS only (listen.plaintext_from); send <starttls/> first")
	}
	return false, fault("not-authorized", "something else came before the stream was authenticated; send <auth/> first (RFC 6120 6)")
}

// startTLS answers <starttls/>. What came behind it was sent before there was TLS, perhaps by somebody else: were it kept,
// it would count as said over TLS (RFC 6120 5.3.3 and 13.9).
func (h *Handshake) startTLS(rest []byte) error {
	if h.peer.TLS != nil || !h.peer.StartTLS {
		if err := h.write([]byte("<failure xmlns='" + stanza.NSTLS + "'/>")); err != nil {
			return err
		}
		return fault("policy-violation", "STARTTLS was not offered; send only what the features name")
	}
	if len(rest) > 0 {
		h.acceptor.Gate.Failed(h.peer.Addr)
		return fault("policy-violation", "something came behind <starttls/> and without TLS; send nothing before <proceed/> (RFC 6120 5.3.3)")
	}
	if err := h.write([]byte("<proceed xmlns='" + stanza.NSTLS + "'/>")); err != nil {
		return err
	}
	h.phase = tlsDue
	return ErrStartTLS
}
