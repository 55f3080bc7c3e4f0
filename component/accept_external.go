package component

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"strings"
	"time"
)

// external is SASL EXTERNAL (RFC 6120 6.3.4, XEP-0178): the certificate that the peer showed over TLS has to prove the
// domain. TLS itself has verified only that the peer has its key; the rest is done here, at each authentication, so that each
// fault has its condition, and a resumed TLS session counts no more than a new one.
func (h *Handshake) external(response []byte) ([]byte, bool, *Failure) {
	if len(response) > 0 && !h.isDomain(response) {
		return nil, false, h.otherIdentity()
	}
	shown := h.peer.TLS.PeerCertificates
	leaf := shown[0]
	options := x509.VerifyOptions{Roots: h.roots, Intermediates: x509.NewCertPool(), CurrentTime: h.acceptor.Gate.now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}} // many nodes have one certificate for both
	for _, c := range shown[1:] {
		options.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(options); err != nil {
		return nil, false, untrusted(leaf, options, err)
	}
	if !h.named(leaf) {
		return nil, false, &Failure{"not-authorized", "the client certificate is not for " + h.shown() +
			"; it needs that name itself, not a wildcard, as a subjectAltName (dNSName or XmppAddr)"}
	}
	return nil, true, nil
}

// untrusted says why a certificate does not verify. One that would at another time has expired; of one that never would,
// nothing else counts.
func untrusted(leaf *x509.Certificate, options x509.VerifyOptions, err error) *Failure {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		for _, options.CurrentTime = range []time.Time{leaf.NotAfter, leaf.NotBefore} {
			if _, err = leaf.Verify(options); err == nil {
				day := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
				return &Failure{"credentials-expired", "the client certificate, or one of its chain, does not count today (it is from " +
					day(leaf.NotBefore) + " to " + day(leaf.NotAfter) + "); renew it, or set the clock"}
			}
		}
	}
	if errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage {
		return &Failure{"not-authorized", "the client certificate is not for TLS; its extended key usage has to allow clientAuth, if it has any"}
	}
	return &Failure{"not-authorized", "the client certificate is not from an authority that the router trusts (tls.ca); send it with its chain, or have it signed by one of those"}
}

// named reports whether a certificate is for the domain, by its subjectAltNames only (RFC 9525 2): never by a common name or a
// wildcard, which would let one node be another.
func (h *Handshake) named(leaf *x509.Certificate) bool {
	for _, name := range append(xmppAddrs(leaf), leaf.DNSNames...) {
		if !strings.Contains(name, "*") && h.isDomain([]byte(name)) {
			return true
		}
	}
	return false
}

var (
	oidAltNames = asn1.ObjectIdentifier{2, 5, 29, 17}              // RFC 5280 4.2.1.6
	oidXmppAddr = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 5} // id-on-xmppAddr, RFC 6120 13.7.1.4
)

// otherName of RFC 5280 4.2.1.6.
type otherName struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue // [0] EXPLICIT
}

// xmppAddrs gives the addresses that a certificate has as otherName id-on-xmppAddr. Other otherNames hold strings, too, and
// mean something else.
func xmppAddrs(leaf *x509.Certificate) (all []string) {
	for _, ext := range leaf.Extensions {
		if !ext.Id.Equal(oidAltNames) {
			continue
		}
		var names []asn1.RawValue
		_, _ = asn1.Unmarshal(ext.Value, &names) // package x509 has read it already
		for _, n := range names {
			if addr, ok := xmppAddr(n); ok {
				all = append(all, addr)
			}
		}
	}
	return all
}

// xmppAddr reads one name of a subjectAltName.
func xmppAddr(n asn1.RawValue) (string, bool) {
	var other otherName
	var text asn1.RawValue
	if n.Class != asn1.ClassContextSpecific || n.Tag != 0 {
		return "", false
	}
	if rest, err := asn1.UnmarshalWithParams(n.FullBytes, &other, "tag:0"); err != nil || len(rest) > 0 || !other.Type.Equal(oidXmppAddr) {
		return "", false
	}
	if rest, err := asn1.Unmarshal(other.Value.Bytes, &text); err != nil || len(rest) > 0 {
		return "", false
	}
	return string(text.Bytes), text.Class == asn1.ClassUniversal && text.Tag == asn1.TagUTF8String
}
