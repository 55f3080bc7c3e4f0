package component

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// form is a certificate to be made that counts now.
func form(cn string) *x509.Certificate {
	return &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: cn},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
}

// leafForm is the form of a node's certificate.
func leafForm(names ...string) *x509.Certificate {
	f := form("a node")
	f.DNSNames = names
	return f
}

func newAuthority(t *testing.T, cn string) *authority {
	t.Helper()
	f := form(cn)
	f.IsCA, f.BasicConstraintsValid, f.KeyUsage = true, true, x509.KeyUsageCertSign
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{cert: f, key: key}
	a.cert = a.sign(t, f, key)
	return a
}

// sign makes a certificate for a key.
func (a *authority) sign(t *testing.T, f *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, f, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// roots trusts the authority for every domain.
func (a *authority) roots(string) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// connection is one over which a certificate was shown, with others behind it.
func (a *authority) connection(t *testing.T, f *x509.Certificate, chain ...*x509.Certificate) *tls.ConnectionState {
	t.Helper()
	return &tls.ConnectionState{PeerCertificates: append([]*x509.Certificate{a.sign(t, f, a.key)}, chain...)}
}

// withOtherName puts one otherName into the subjectAltName of a form, and a dNSName if it is not empty.
func withOtherName(t *testing.T, oid asn1.ObjectIdentifier, value, dns string) *x509.Certificate {
	t.Helper()
	text, err := asn1.MarshalWithParams(value, "utf8")
	if err != nil {
		t.Fatal(err)
	}
	other, err := asn1.MarshalWithParams(otherName{oid, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: text}}, "tag:0")
	if err != nil {
		t.Fatal(err)
	}
	names := []asn1.RawValue{{FullBytes: other}}
	if dns != "" {
		names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte(dns)})
	}
	ext, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	f := form("node1.im.example")
	f.ExtraExtensions = []pkix.Extension{{Id: oidAltNames, Value: ext}}
	return f
}

// showing is a connection over which a certificate was shown, and the condition that it is refused with, "" if it is not.
type showing struct {
	name string
	cs   *tls.ConnectionState
	want string
}

// showings are certificates that prove node1.im.example to who trusts the authority, and those that do not.
func showings(t *testing.T, ca *authority) []showing {
	stranger := newAuthority(t, "ca")
	middleForm := form("middle")
	middleForm.IsCA, middleForm.BasicConstraintsValid, middleForm.KeyUsage = true, true, x509.KeyUsageCertSign
	middle := newAuthority(t, "middle")
	middle.cert = ca.sign(t, middleForm, middle.key)
	change := func(f func(*x509.Certificate)) *x509.Certificate {
		c := leafForm("node1.im.example")
		f(c)
		return c
	}
	upn := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
	const node = "node1.im.example"
	return []showing{
		{"the name", ca.connection(t, leafForm(node)), ""},
		{"the name in other letters, among others", ca.connection(t, leafForm("x.example", "NODE1.im.Example")), ""},
		{"through another authority", middle.connection(t, leafForm(node), middle.cert), ""},
		{"an XmppAddr", ca.connection(t, withOtherName(t, oidXmppAddr, node, "")), ""},
		{"an XmppAddr beside another name", ca.connection(t, withOtherName(t, oidXmppAddr, node, "host.example")), ""},
		{"for servers of TLS", ca.connection(t, change(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })), ""},
		{"for mail only", ca.connection(t, change(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} })), "not-authorized"},
		{"another name", ca.connection(t, leafForm("node2.im.example")), "not-authorized"},
		{"no name", ca.connection(t, leafForm()), "not-authorized"},
		{"a common name only", ca.connection(t, form(node)), "not-authorized"},
		{"a common name with a trick", ca.connection(t, change(func(c *x509.Certificate) {
			c.DNSNames, c.Subject = []string{"evil.example"}, pkix.Name{CommonName: "evil", OrganizationalUnit: []string{"CN=" + node + ","}}
		})), "not-authorized"},
		{"a wildcard", ca.connection(t, leafForm("*.im.example")), "not-authorized"},
		{"the domain above", ca.connection(t, leafForm("im.example")), "not-authorized"},
		{"a longer name", ca.connection(t, leafForm("x.node1.im.example", "node1.im.example.evil")), "not-authorized"},
		{"an address", ca.connection(t, change(func(c *x509.Certificate) { c.DNSNames, c.EmailAddresses = nil, []string{"a@" + node} })), "not-authorized"},
		{"an XmppAddr of a user", ca.connection(t, withOtherName(t, oidXmppAddr, "a@"+node, "")), "not-authorized"},
		{"an XmppAddr with a NUL", ca.connection(t, withOtherName(t, oidXmppAddr, node+"\x00.evil", "")), "not-authorized"},
		{"an XmppAddr that is a wildcard", ca.connection(t, withOtherName(t, oidXmppAddr, "*.im.example", "")), "not-authorized"},
		{"another otherName", ca.connection(t, withOtherName(t, upn, node, "")), "not-authorized"},
		{"an authority of the same name", stranger.connection(t, leafForm(node)), "not-authorized"},
		{"without the one between", middle.connection(t, leafForm(node)), "not-authorized"},
		{"signed by a node", (&authority{ca.sign(t, leafForm(node), middle.key), middle.key}).connection(t, leafForm(node)), "not-authorized"},
		{"expired", ca.connection(t, change(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })), "credentials-expired"},
		{"not yet", ca.connection(t, change(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })), "credentials-expired"},
		{"expired, of another authority", stranger.connection(t, change(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })), "not-authorized"},
		{"expired, of another name", ca.connection(t, change(func(c *x509.Certificate) { c.DNSNames, c.NotAfter = nil, time.Now().Add(-time.Minute) })), "credentials-expired"},
	}
}

// TestModernExternal: which certificates prove a domain (S9, RFC 9525, XEP-0178).
func TestModernExternal(t *testing.T) {
	ca := newAuthority(t, "ca")
	for _, c := range showings(t, ca) {
		t.Run(c.name, func(t *testing.T) {
			a := acceptor()
			a.Roots = ca.roots
			m := openModern(a, Initiator{TLS: c.cs})
			if got := m.must(t, modernHeader); !strings.Contains(got, "<mechanism>EXTERNAL</mechanism>") {
				t.Fatalf("features: %s", got)
			}
			answer := m.must(t, "<auth"+nsSASL+" mechanism='EXTERNAL'>=</auth>")
			switch {
			case c.want == "" && (answer != "<success"+nsSASL+"/>" || m.hs.Method() != MethodExternal):
				t.Errorf("refused: %s", answer)
			case c.want != "" && !strings.Contains(answer, "><"+c.want+"/><text"):
				t.Errorf("answered %s", answer)
			case c.want != "":
				if _, done, err := m.tell(enable); done || err == nil {
					t.Error("it attached without a proof")
				}
			}
		})
	}
}

// TestModernExternalIdentity: a node acts for itself only, and EXTERNAL has to be offered.
func TestModernExternalIdentity(t *testing.T) {
	ca := newAuthority(t, "ca")
	cs := ca.connection(t, leafForm("node1.im.example"))
	external := func(content string) string { return "<auth" + nsSASL + " mechanism='EXTERNAL'>" + content + "</auth>" }
	for _, c := range []struct {
		name  string
		cs    *tls.ConnectionState
		roots bool
		text  string
		want  string
	}{
		{"its own", cs, true, element("auth", " mechanism='EXTERNAL'", []byte("Node1.im.example")), "success"},
		{"no initial response", cs, true, external("") + "<response" + nsSASL + "/>", "success"},
		{"another node", cs, true, element("auth", " mechanism='EXTERNAL'", []byte("node2.im.example")), "invalid-authzid"},
		{"a user", cs, true, element("auth", " mechanism='EXTERNAL'", []byte("a@node1.im.example")), "invalid-authzid"},
		{"no base64", cs, true, external("=="), "incorrect-encoding"},
		{"no certificate", &tls.ConnectionState{}, true, external("="), "invalid-mechanism"},
		{"no authority", cs, false, external("="), "invalid-mechanism"},
		{"no TLS, and none to be had", nil, true, external("="), "invalid-mechanism"},
	} {
		a := acceptor()
		if c.roots {
			a.Roots = ca.roots
		}
		m := openModern(a, Initiator{TLS: c.cs})
		m.must(t, modernHeader)
		if answer := m.must(t, c.text); !strings.Contains(answer, "<"+c.want) {
			t.Errorf("%s: %s", c.name, answer)
		}
	}
}
