package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/config"
)

// pair makes a certificate with this serial number and its key, as PEM.
func pair(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs})
}

// A certificate is read again when its files change; while they are no pair, the last good one is shown.
func TestKeyPair(t *testing.T) {
	dir, now, told := t.TempDir(), day, &bytes.Buffer{}
	files := config.TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	put := func(path string, text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now, now); err != nil { // a clock of the file's own, coarser than the test's
			t.Fatal(err)
		}
	}
	log := logrus.New()
	log.SetOutput(told)
	k := &keyPair{log: logrus.NewEntry(log), now: func() time.Time { return now }}
	want := func(serial int64, lines int) {
		t.Helper()
		if cert := k.get().pair; cert.Leaf.SerialNumber.Int64() != serial {
			t.Errorf("certificate %v; want number %d", cert.Leaf.SerialNumber, serial)
		}
		if got := strings.Count(told.String(), "\n"); got != lines {
			t.Errorf("%d lines in the log, want %d:\n%s", got, lines, told)
		}
	}
	cert1, key1 := pair(t, 1)
	cert2, key2 := pair(t, 2)
	put(files.Cert, cert1)
	if _, err := readCertificate(files); err == nil {
		t.Error("a certificate without a key was taken")
	}
	put(files.Key, key1)
	first, err := readCertificate(files)
	if err != nil {
		t.Fatal(err)
	}
	k.use(first)
	want(1, 0)
	now = now.Add(certificateEach)
	put(files.Key, key2)
	want(1, 1) // half-way
	now = now.Add(certificateEach)
	want(1, 1) // and told once
	put(files.Cert, cert2)
	want(1, 1) // not yet looked at
	now = now.Add(certificateEach)
	want(2, 2)
	now = now.Add(certificateEach)
	want(2, 2)
	if err := os.Remove(files.Cert); err != nil {
		t.Fatal(err)
	}
	now = now.Add(certificateEach)
	want(2, 3)
}

// Who asks for the certificate learns of a new one without a handshake: doctor and metrics would warn of the old one
// until a node attaches.
func TestCertificateWithoutHandshake(t *testing.T) {
	dir, now := t.TempDir(), day
	files := config.TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	log := logrus.New()
	log.SetOutput(io.Discard)
	s := &Server{keys: &keyPair{log: logrus.NewEntry(log), now: func() time.Time { return now }}}
	if cert := s.Certificate(); cert != nil {
		t.Errorf("a certificate without TLS: %v", cert.SerialNumber)
	}
	for serial := int64(1); serial <= 2; serial++ {
		cert, key := pair(t, serial)
		for path, text := range map[string][]byte{files.Cert: cert, files.Key: key} {
			if err := errors.Join(os.WriteFile(path, text, 0o600), os.Chtimes(path, now, now)); err != nil {
				t.Fatal(err)
			}
		}
		if serial == 1 {
			first, err := readCertificate(files)
			if err != nil {
				t.Fatal(err)
			}
			s.keys.use(first)
		}
		if got := s.Certificate().SerialNumber.Int64(); got != serial {
			t.Errorf("certificate %d, want %d", got, serial)
		}
		now = now.Add(certificateEach)
	}
}

// A reload that cannot read its certificate changes nothing: the files of before are still followed, and no others. Nor
// does one that fails for another reason.
func TestCertificateOfFailedReload(t *testing.T) {
	dir := t.TempDir()
	old := config.TLS{Cert: filepath.Join(dir, "old.pem"), Key: filepath.Join(dir, "old.key")}
	next := config.TLS{Cert: filepath.Join(dir, "next.pem"), Key: filepath.Join(dir, "next.key")}
	write := func(files config.TLS, serial int64) {
		t.Helper()
		cert, key := pair(t, serial)
		for path, text := range map[string][]byte{files.Cert: cert, files.Key: key} {
			when := time.Unix(serial, 0) // two writes can come within one tick of the file system's clock
			if err := errors.Join(os.WriteFile(path, text, 0o600), os.Chtimes(path, when, when)); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(old, 1)
	log := logrus.New()
	log.SetOutput(io.Discard)
	cfg := config.Default()
	cfg.Data, cfg.TLS, cfg.Listen.Component, cfg.Listen.ComponentTLS = config.Memory, old, "", "127.0.0.1:0"
	cfg.Offline.Policy = config.PolicyStore // of no user domain, so that there is no store
	cfg.Offline.Domains = map[string]*config.OfflineDomain{cfg.Users[0]: {Policy: config.PolicyBounce}}
	var file config.Config
	s, err := New(cfg, Options{Log: logrus.NewEntry(log), Load: func() (*config.Config, config.Faults) { c := file; return &c, nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Stop() }()
	later := time.Now()
	s.keys.now = func() time.Time { return later }
	serves := func(serial int64) {
		t.Helper()
		later = later.Add(time.Minute)
		if cert := s.keys.get().pair; cert.Leaf.SerialNumber.Int64() != serial {
			t.Errorf("serves %v, want %d", cert.Leaf.SerialNumber, serial)
		}
	}
	serves(1)
	file = *cfg
	file.TLS = next
	if _, err := s.Reload(); err == nil {
		t.Fatal("a certificate was read that is not there")
	}
	write(next, 2)
	serves(1)
	write(old, 3)
	serves(3)
	file.Users = append([]string{"vip.example"}, cfg.Users...)
	if _, err := s.Reload(); err == nil {
		t.Fatal("a policy that stores was put in force without a store")
	}
	serves(3)
	file.Users = cfg.Users
	if _, err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	serves(2)
}
