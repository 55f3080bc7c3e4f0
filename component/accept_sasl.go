package component

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/patchbay-im/patchbay/stanza"
)

// maxTries is how often a peer may fail to prove its domain on one stream (RFC 6120 6.4.5).
const maxTries = 3

// Failure is a SASL failure (RFC 6120 6.5) and a Go error.
type Failure struct {
	Condition string // element name of RFC 6120 6.5
	Text      string // for people: cause and mend, and no secrets
}

// Error gives condition and text.
func (f *Failure) Error() string { return f.Condition + ": " + f.Text }

// AppendTo appends the element <failure/>.
func (f *Failure) AppendTo(dst []byte) []byte {
	dst = append(dst, "<failure xmlns='"+stanza.NSSASL+"'><"+f.Condition+"/><text xml:lang='en'>"...)
	return append(stanza.AppendEscapedText(dst, []byte(f.Text)), "</text></failure>"...)
}

// exchange takes one response of the peer and gives the challenge, or with done what goes with success.
type exchange func(response []byte) (challenge []byte, done bool, bad *Failure)

// mechanisms are those that the peer may use now, the stronger first.
func (h *Handshake) mechanisms() (all []string) {
	if h.roots != nil && h.peer.TLS != nil && len(h.peer.TLS.PeerCertificates) > 0 {
		all = append(all, MethodExternal)
	}
	if len(h.secrets) > 0 {
		all = append(all, MethodSCRAM)
	}
	return all
}

// authenticate takes a step of a SASL negotiation (RFC 6120 6.4).
func (h *Handshake) authenticate(el *stanza.Header, name string) error {
	text, bad := content(el)
	switch {
	case name == "abort":
		bad = &Failure{"aborted", "the peer has given up"}
	case name == "auth" && h.exchange == nil:
		w := el.Walk()
		w.Next()
		begun := h.begin(attrOf(&w, "mechanism"))
		if begun != nil {
			bad = begun // nobody needs to know what was wrong with the rest
		} else if bad == nil && text == "" {
			return h.challenge(nil) // no initial response: the peer speaks first in all of them (RFC 4422 5)
		}
	case name != "response" || h.exchange == nil:
		bad = &Failure{"malformed-request", "no exchange has begun that this belongs to, or another one has; send <auth/>, then a <response/> to each challenge"}
	}
	if bad != nil {
		return h.fail(bad)
	}
	response, bad := decode(text)
	if bad != nil {
		return h.fail(bad)
	}
	out, done, bad := h.exchange(response)
	switch {
	case bad != nil:
		return h.fail(bad)
	case !done:
		return h.challenge(out)
	}
	h.method = h.offered
	if err := h.say("success", out); err != nil {
		return err
	}
	h.restart()
	return nil
}

// begin makes an exchange of a mechanism, if it was offered.
func (h *Handshake) begin(name string) *Failure {
	offered := slices.Contains(h.mechanisms(), name)
	switch {
	case h.MustSecure():
		return &Failure{"encryption-required", "this address may attach over TLS only (listen.plaintext_from); send <starttls/> first"}
	case offered && name == MethodExternal:
		h.exchange = h.external
	case offered:
		h.exchange = h.scram()
	case name != MethodExternal:
		return &Failure{"invalid-mechanism", "this mechanism was not offered; use one that the features name"}
	case h.roots == nil:
		return &Failure{"invalid-mechanism", "EXTERNAL was not offered: the router takes no client certificates (tls.ca); use SCRAM-SHA-256"}
	case h.peer.TLS == nil && h.peer.StartTLS:
		return &Failure{"encryption-required", "EXTERNAL needs a client certificate, and so TLS; send <starttls/> first"}
	default:
		return &Failure{"invalid-mechanism", "EXTERNAL was not offered: no client certificate was shown over TLS; show one, or use SCRAM-SHA-256"}
	}
	h.offered = name
	return nil
}

// challenge asks for the next response.
func (h *Handshake) challenge(text []byte) error { return h.say("challenge", text) }

// say writes an element of SASL with its content.
func (h *Handshake) say(name string, text []byte) error {
	b := []byte("<" + name + " xmlns='" + stanza.NSSASL + "'")
	if len(text) == 0 {
		return h.write(append(b, "/>"...))
	}
	b = base64.StdEncoding.AppendEncode(append(b, '>'), text)
	return h.write(append(b, "</"+name+">"...))
}

// fail answers a failed proof. The stream goes on, for another try, but not for ever.
func (h *Handshake) fail(bad *Failure) error {
	h.exchange = nil
	h.tries++
	h.acceptor.Gate.Failed(h.peer.Addr)
	if h.peer.Failed != nil {
		h.peer.Failed(bad)
	}
	if err := h.write(bad.AppendTo(nil)); err != nil {
		return err
	}
	if h.tries >= maxTries {
		return fault("policy-violation", "three tries to authenticate have failed; mend what the failures say before another")
	}
	return nil
}

// content gives the text of an element of SASL.
func content(el *stanza.Header) (string, *Failure) {
	if el.Children > 0 {
		return "", &Failure{"malformed-request", "an element is in one of SASL that has text only; leave it out (RFC 6120 6.4)"}
	}
	w := el.Walk()
	w.Next()
	return string(w.AppendText(nil)), nil
}

// decode reads the content of an element of SASL: "=" is an empty one, and no white space may be in it (RFC 6120 6.4.2).
func decode(text string) ([]byte, *Failure) {
	if text == "=" {
		return nil, nil
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // which the package passes over
		return nil, &Failure{"incorrect-encoding", "this is not base64; encode it as RFC 4648 4 says, with its padding and without white space"}
	}
	return b, nil
}
