package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mellium.im/sasl"
)

const (
	nsSASLAttr = " xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
	sayTLS     = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
	sayExt     = "<auth" + nsSASLAttr + " mechanism='EXTERNAL'>=</auth>"
	sayEnable  = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
)

// rawPeer is a peer of the server that says and hears bytes.
type rawPeer struct {
	conn net.Conn
	all  string // heard, and not yet taken by until
}

// rawTo connects to an address, over TLS with a configuration.
func rawTo(addr string, secure *tls.Config) *rawPeer {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		breakf("connect: %v", err)
	}
	p := &rawPeer{conn: conn}
	if secure != nil {
		p.secure(secure)
	}
	return p
}

func (p *rawPeer) say(text string) {
	_ = p.conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := p.conn.Write([]byte(text)); err != nil {
		breakf("say %s: %v", text, err)
	}
}

// hears gives what comes up to a text, and that.
func (p *rawPeer) hears(text string) string {
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 4096)
	for {
		if before, after, ok := strings.Cut(p.all, text); ok {
			p.all = after
			return before + text
		}
		n, err := p.conn.Read(buf)
		if p.all += string(buf[:n]); err != nil && !strings.Contains(p.all, text) {
			breakf("waits for %q, heard %q: %v", text, p.all, err)
		}
	}
}

// rest gives all that comes until the end of the connection, or nothing more for a moment.
func (p *rawPeer) rest() string {
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 4096)
	for {
		n, err := p.conn.Read(buf)
		if p.all += string(buf[:n]); err != nil {
			all := p.all
			p.all = ""
			return all
		}
	}
}

// asks says something and gives the answer up to a text.
func (p *rawPeer) asks(text, until string) string {
	p.say(text)
	return p.hears(until)
}

// secure makes the connection one over TLS.
func (p *rawPeer) secure(c *tls.Config) {
	tc := tls.Client(p.conn, c)
	_ = p.conn.SetDeadline(time.Now().Add(patience))
	if err := tc.Handshake(); err != nil {
		breakf("TLS: %v", err)
	}
	p.conn = tc
}

// startTLS asks for TLS, and gets it.
func (p *rawPeer) startTLS(c *tls.Config) {
	p.asks(sayTLS, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	p.secure(c)
}

// modern is the header of a modern stream.
func modern(domain string) string {
	return strings.Replace(header(domain), " to=", " xmlns:pb='urn:patchbay:component:1' pb:modern='1' version='1.0' to=", 1)
}

// opens sends the header, and gives the features.
func (p *rawPeer) opens(domain string) string { return p.asks(modern(domain), "</stream:features>") }

// element is one of SASL with its content.
func saslElement(name, attrs string, content []byte) string {
	return "<" + name + nsSASLAttr + attrs + ">" + base64.StdEncoding.EncodeToString(content) + "</" + name + ">"
}

// scram proves a domain, and gives the last answer.
func (p *rawPeer) scram(domain, secret string) string {
	c := sasl.NewClient(sasl.ScramSha256, sasl.Credentials(func() (u, s, i []byte) { return []byte(domain), []byte(secret), nil }))
	_, first, _ := c.Step(nil)
	answer := p.asks(saslElement("auth", " mechanism='SCRAM-SHA-256'", first), ">")
	if !strings.HasPrefix(answer, "<challenge") {
		return answer + p.hears("</failure>")
	}
	challenge, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(p.hears("</challenge>"), "</challenge>"))
	if err != nil {
		breakf("the challenge: %v", err)
	}
	_, final, err := c.Step(challenge)
	if err != nil {
		breakf("the challenge: %v", err)
	}
	answer = p.asks(saslElement("response", "", final), ">")
	if strings.HasPrefix(answer, "<failure") {
		return answer + p.hears("</failure>")
	}
	signature, _ := base64.StdEncoding.DecodeString(strings.TrimSuffix(p.hears("</success>"), "</success>"))
	if _, _, err := c.Step(signature); err != nil {
		breakf("the server's signature: %v", err)
	}
	return "<success/>"
}

// attaches opens a modern stream without TLS and proves the domain; what ends the opening is for the caller.
func (p *rawPeer) attaches(domain string) {
	p.opens(domain)
	if got := p.scram(domain, house); got != "<success/>" {
		breakf("%s", got)
	}
	if got := p.opens(domain); !strings.HasSuffix(got, "<stream:features><sm xmlns='urn:xmpp:sm:3'><required/></sm></stream:features>") {
		breakf("the features behind success: %s", got)
	}
}

// ca is an authority of client certificates, in a file.
type ca struct {
	t    *testing.T
	file string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newCA(t *testing.T) *ca {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca of a test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &ca{t, file, cert, key}
}

// shows is TLS with a client certificate for a name that ends at a time.
func (a *ca) shows(name string, until time.Time) *tls.Config {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, form, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	own := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }} // the server's is self-signed
}

// open is TLS without a client certificate.
func open() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }
