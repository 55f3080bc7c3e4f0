package component

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// certificate makes one for hub1, valid on the bubble's clock, and the pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"hub1"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	raw, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, pool
}

// With TLS the name of the address is checked, unless the configuration names another.
func TestDialTLS(t *testing.T) {
	tests := []struct {
		name, addr, serverName string
		trusted                bool
	}{
		{"address named in the certificate", "hub1:5348", "", true},
		{"address not named there", "hub2:5348", "", false},
		{"name given", "hub2:5348", "hub1", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cert, pool := certificate(t)
				f := newFakeServer()
				f.wrap = func(c net.Conn) net.Conn { return tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}}) }
				cfg := f.config()
				cfg.Addrs = []string{tt.addr}
				cfg.TLS = &tls.Config{RootCAs: pool, ServerName: tt.serverName}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				n, err := Dial(ctx, cfg)
				if (err == nil) != tt.trusted {
					t.Fatalf("got %v", err)
				}
				if err != nil {
					var wrong x509.HostnameError
					if !errors.As(err, &wrong) {
						t.Errorf("got %v", err)
					}
					return
				}
				if err := n.Send(t.Context(), chatOf("x")); err != nil {
					t.Error(err)
				}
				contains(t, (<-f.links).next(t).inner, "<body>x</body>")
				n.Close()
				<-n.Done()
			})
		})
	}
}
