package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// listen opens all listeners of the configuration.
func (s *Server) listen() error {
	var err error
	if addr := s.Config().Listen.Component; addr != "" {
		if s.plain, err = Listen("listen.component", addr); err != nil {
			return err
		}
	}
	if addr := s.Config().Listen.ComponentTLS; addr != "" {
		cert, err := readCertificate(s.Config().TLS)
		if err != nil {
			return err
		}
		s.keys.use(cert)
		ln, err := Listen("listen.component_tls", addr)
		if err != nil {
			return err
		}
		s.tls = tls.NewListener(openings{ln}, &tls.Config{GetCertificate: s.keys.get, MinVersion: tls.VersionTLS12})
	}
	return nil
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
