package server

import (
	"crypto/tls"
	"crypto/x509"
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

// keyPair is the server's certificate. It is read again when its files change, so that a rotation needs no restart and
// drops no link. A pair that does not fit together, as half-way through a rotation, leaves the last good one in use.
type keyPair struct {
	log *logrus.Entry // set once
	now func() time.Time

	cert atomic.Pointer[tls.Certificate] // replaced whole

	// guarded by mu
	mu     sync.Mutex
	files  config.TLS
	stamp  [2]stamp // of the files when they were last read
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

// certificate is a certificate that can be put to use.
type certificate struct {
	files config.TLS
	stamp [2]stamp
	pair  *tls.Certificate
}

// readCertificate reads the files. The stamp is of before, so that a change meanwhile is seen later.
func readCertificate(files config.TLS) (certificate, error) {
	c := certificate{files: files, stamp: [2]stamp{stampOf(files.Cert), stampOf(files.Key)}}
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return c, fmt.Errorf("read tls.cert and tls.key: %w", err)
	}
	c.pair = &pair
	return c, nil
}

// use puts a certificate in the place of the one in use.
func (k *keyPair) use(c certificate) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.files, k.stamp, k.looked = c.files, c.stamp, k.now()
	k.cert.Store(c.pair)
}

// get is for tls.Config.GetCertificate. One handshake reads the files, the others do not wait for it.
func (k *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if k.mu.TryLock() {
		if k.now().Sub(k.looked) >= certificateEach {
			k.look()
		}
		k.mu.Unlock()
	}
	return k.cert.Load(), nil
}

// look reads the files if they have changed. Called with mu held.
func (k *keyPair) look() {
	k.looked = k.now()
	if k.stamp == [2]stamp{stampOf(k.files.Cert), stampOf(k.files.Key)} {
		return
	}
	c, err := readCertificate(k.files)
	k.stamp = c.stamp
	if err != nil {
		k.log.WithError(err).Warn("the certificate's files have changed and cannot be used: the one of before stays")
		return
	}
	k.cert.Store(c.pair)
	k.log.WithField("until", k.cert.Load().Leaf.NotAfter.UTC().Format(time.RFC3339)).Info("certificate read again")
}

// Certificate is the server's certificate, nil without listen.component_tls. It looks at the files as a handshake does:
// who asks wants to know whether a new one is in use, and no node may attach for days.
func (s *Server) Certificate() *x509.Certificate {
	if s.keys.cert.Load() == nil {
		return nil
	}
	cert, _ := s.keys.get(nil) // never fails
	return cert.Leaf
}
