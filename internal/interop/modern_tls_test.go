package interop

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/component"
)

// authority signs the certificates of one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

// newAuthority makes an authority and writes its certificate to dir/ca.pem.
func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	a.cert, a.key = a.sign(t, form)
	a.pool.AddCert(a.cert)
	writePEM(t, filepath.Join(dir, "ca.pem"), "CERTIFICATE", a.cert.Raw)
	return a
}

// sign makes a certificate of the form for a new key; the first is signed by itself.
func (a *authority) sign(t *testing.T, form *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = form, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, form, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// leaf makes a certificate for a name.
func (a *authority) leaf(t *testing.T, name string) tls.Certificate {
	t.Helper()
	cert, key := a.sign(t, &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)})
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// write writes a certificate for a name, and its key, and gives the files.
func (a *authority) write(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	leaf := a.leaf(t, name)
	raw, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, cert, "CERTIFICATE", leaf.Certificate[0])
	writePEM(t, key, "PRIVATE KEY", raw)
	return cert, key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// secured is how a node attaches to a server with a certificate and tls.ca.
type secured struct {
	name     string
	addr     string
	set      func(cfg *component.Config)
	wantsErr string
}

// allSecured are the ways, to the listeners without and with TLS.
func allSecured(t *testing.T, ca *authority, plain, direct string) []secured {
	return []secured{
		{"STARTTLS and secret", plain, func(cfg *component.Config) { cfg.StartTLS = true }, ""},
		{"TLS and secret", direct, func(*component.Config) {}, ""},
		{"STARTTLS and certificate", plain, func(cfg *component.Config) {
			cfg.StartTLS, cfg.Secret, cfg.TLS.Certificates = true, "", []tls.Certificate{ca.leaf(t, "tls.im.example")}
		}, ""},
		{"TLS and certificate", direct, func(cfg *component.Config) {
			cfg.Secret, cfg.TLS.Certificates = "", []tls.Certificate{ca.leaf(t, "tls.im.example")}
		}, ""},
		{"certificate of another node", direct, func(cfg *component.Config) {
			cfg.Secret, cfg.TLS.Certificates = "", []tls.Certificate{ca.leaf(t, "other.im.example")}
		}, "authenticate by EXTERNAL: not-authorized"},
		{"wrong secret", plain, func(cfg *component.Config) { cfg.StartTLS, cfg.Secret = true, "another secret altogether" },
			"authenticate by SCRAM-SHA-256: not-authorized"},
		{"XEP-0114 over TLS", direct, func(cfg *component.Config) { cfg.Plain = true }, ""},
		{"without TLS", plain, func(cfg *component.Config) { cfg.TLS = nil }, ""}, // loopback may
	}
}

// TestModernTLS attaches SDK nodes over STARTTLS and TLS, by their secret and by a certificate. What does not fit is
// refused at once, with a reason.
func TestModernTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := newAuthority(t, dir)
	cert, key := ca.write(t, dir, "hub1.im.example")
	ln, err := net.Listen("tcp", "127.0.0.1:0") // the server does not say which port it has taken
	if err != nil {
		t.Fatal(err)
	}
	direct := ln.Addr().String()
	_ = ln.Close()
	s := serve(t, dir, "tls.cert="+cert, "tls.key="+key, "tls.ca="+filepath.Join(dir, "ca.pem"),
		"listen.component_tls="+direct)
	for _, tt := range allSecured(t, ca, s.addr, direct) {
		t.Run(tt.name, func(t *testing.T) {
			cfg := component.Config{Addrs: []string{tt.addr}, Domain: "tls.im.example", Secret: s.secret,
				TLS: &tls.Config{RootCAs: ca.pool, ServerName: "hub1.im.example"}}
			tt.set(&cfg)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			n, err := component.Dial(ctx, cfg)
			if err != nil {
				if tt.wantsErr == "" || !strings.Contains(err.Error(), tt.wantsErr) {
					t.Errorf("got %v, want %q", err, tt.wantsErr)
				}
				return
			}
			if tt.wantsErr != "" {
				t.Error("attached")
			}
			want := component.GradeAcked
			if cfg.Plain {
				want = component.GradePlain
			}
			if g := n.Grade(); g != want {
				t.Errorf("grade %q, want %q", g, want)
			}
			n.Close()
			<-n.Done()
		})
	}
}
