package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/config"
)

// certificateEach is how often, at most, a handshake, or who asks for the certificate, looks whether its files have
// changed.
const certificateEach = 2 * time.Second

// keyPair is the server's certificate, and the authorities of client certificates. They are read again when their files
// change, so that a rotation needs no restart and drops no link. Files that do not fit together, as half-way through a
// rotation, leave the last good ones in use.
type keyPair struct {
	log *logrus.Entry // set once
	now func() time.Time

	cert atomic.Pointer[certificate] // replaced whole; nil: there is none

	// guarded by mu
	mu     sync.Mutex
	files  config.TLS
	stamp  stamps // of the files when they were last read
	looked time.Time
}

// stamp tells whether a file has changed.
type stamp struct {
	size int64
	time time.Time
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info.Size(), info.ModTime()}
}

// stamps are those of tls.cert, tls.key and tls.ca.
type stamps [3]stamp

func stampsOf(files config.TLS) stamps {
	return stamps{stampOf(files.Cert), stampOf(files.Key), stampOf(files.CA)}
}

// certificate is a certificate that can be put to use, with what goes with it.
type certificate struct {
	files config.TLS
	stamp stamps
	pair  *tls.Certificate
	roots *x509.CertPool // of client certificates; nil: none are asked for
	tls   *tls.Config    // of a connection that is shown this
}

// readCertificate reads the files. The stamps are of before, so that a change meanwhile is seen later.
func readCertificate(files config.TLS) (certificate, error) {
	c := certificate{files: files, stamp: stampsOf(files)}
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return c, fmt.Errorf("read tls.cert and tls.key: %w", err)
	}
	c.tls = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if files.CA != "" {
		all, err := config.ReadAuthorities(files.CA)
		if err != nil {
			return c, fmt.Errorf("read tls.ca: %w", err)
		}
		c.roots = x509.NewCertPool()
		for _, ca := range all {
			c.roots.AddCert(ca)
		}
		// asked for, and verified only when it is to prove a name: a node without one uses its secret
		c.tls.ClientAuth, c.tls.ClientCAs = tls.RequestClientCert, c.roots
	}
	c.pair = &pair
	return c, nil
}

// use puts a certificate in the place of the one in use; one without a pair is none.
func (k *keyPair) use(c certificate) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.files, k.stamp, k.looked = c.files, c.stamp, k.now()
	if c.pair == nil {
		k.cert.Store(nil)
		return
	}
	k.cert.Store(&c)
}

// get gives the certificate in use, nil if there is none. Who asks after a while reads the files, the others do not wait for it.
func (k *keyPair) get() *certificate {
	if k.cert.Load() == nil {
		return nil
	}
	if k.mu.TryLock() {
		if k.now().Sub(k.looked) >= certificateEach {
			k.look()
		}
		k.mu.Unlock()
	}
	return k.cert.Load()
}

var errNoCertificate = errors.New("there is no certificate any more (tls.cert)")

// config is the configuration of TLS for all connections: each gets that of the certificate in use.
func (k *keyPair) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c := k.get()
		if c == nil {
			return nil, errNoCertificate
		}
		return c.tls, nil
	}}
}

// look reads the files if they have changed. Called with mu held.
func (k *keyPair) look() {
	k.looked = k.now()
	if k.stamp == stampsOf(k.files) {
		return
	}
	c, err := readCertificate(k.files)
	k.stamp = c.stamp
	if err != nil {
		k.log.WithError(err).Warn("the certificate's files have changed and cannot be used: the one of before stays")
		return
	}
	k.cert.Store(&c)
	k.log.WithField("until", c.pair.Leaf.NotAfter.UTC().Format(time.RFC3339)).Info("certificate read again")
}

// Certificate is the server's certificate, nil without tls.cert. It looks at the files as a handshake does: who asks wants to
// know whether a new one is in use, and no node may attach for days.
func (s *Server) Certificate() *x509.Certificate {
	c := s.keys.get()
	if c == nil {
		return nil
	}
	return c.pair.Leaf
}

// roots gives the authorities whose client certificates prove a domain, nil if none do.
func (s *Server) roots(domain string) *x509.CertPool {
	c := s.keys.get()
	if c == nil || c.roots == nil {
		return nil
	}
	if _, ok := s.Config().Node(domain); !ok {
		return nil
	}
	return c.roots
}
