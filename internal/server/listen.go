package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/patchbay-im/patchbay/internal/config"
)

// listen opens all listeners of the configuration.
func (s *Server) listen() error {
	cert, err := readCertificateOf(s.Config())
	if err != nil {
		return err
	}
	s.keys.use(cert)
	s.secured = s.keys.config()
	if addr := s.Config().Listen.Component; addr != "" {
		if s.plain, err = Listen("listen.component", addr); err != nil {
			return err
		}
	}
	if addr := s.Config().Listen.ComponentTLS; addr != "" {
		ln, err := Listen("listen.component_tls", addr)
		if err != nil {
			return err
		}
		s.tls = tls.NewListener(openings{ln}, s.secured)
	}
	return nil
}

// readCertificateOf reads the certificate of a configuration, if nodes are to be shown one: by direct TLS, or by STARTTLS.
func readCertificateOf(cfg *config.Config) (certificate, error) {
	if cfg.TLS.Cert == "" && cfg.Listen.ComponentTLS == "" {
		return certificate{}, nil
	}
	return readCertificate(cfg.TLS)
}

// Listen opens one TCP listener at the address that a key of the configuration names. Go's own keep-alive probes are
// off: we ping, and save four system calls a link. The error is an *InUseError if another program has the address.
func Listen(key, addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1}
	ln, err := lc.Listen(context.Background(), "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &InUseError{Key: key, Addr: addr, Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s (%s): %w", addr, key, err)
	}
	return ln, nil
}
