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

// certificateEach is how often, at most, a handshake looks whether the certificate's files have changed.
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

// load reads the files. On an error the certificate that was in use stays.
func (k *keyPair) load(files config.TLS) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.read(files)
}

// read is load with mu held.
func (k *keyPair) read(files config.TLS) error {
	k.files, k.looked = files, k.now()
	k.stamp = [2]stamp{stampOf(files.Cert), stampOf(files.Key)}
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return fmt.Errorf("read tls.cert and tls.key: %w", err)
	}
	k.cert.Store(&cert)
	return nil
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
	if err := k.read(k.files); err != nil {
		k.log.WithError(err).Warn("the certificate's files have changed and cannot be used: the one of before stays")
		return
	}
	k.log.WithField("until", k.cert.Load().Leaf.NotAfter.UTC().Format(time.RFC3339)).Info("certificate read again")
}

// Certificate is the server's certificate, nil without listen.component_tls.
func (s *Server) Certificate() *x509.Certificate {
	if cert := s.keys.cert.Load(); cert != nil {
		return cert.Leaf
	}
	return nil
}
