package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// listen opens all listeners of the configuration.
func (s *Server) listen() error {
	var err error
	if addr := s.Config().Listen.Component; addr != "" {
		if s.plain, err = listenOn("listen.component", addr); err != nil {
			return err
		}
	}
	if addr := s.Config().Listen.ComponentTLS; addr != "" {
		cert, err := tls.LoadX509KeyPair(s.Config().TLS.Cert, s.Config().TLS.Key)
		if err != nil {
			return fmt.Errorf("read tls.cert and tls.key: %w", err)
		}
		ln, err := listenOn("listen.component_tls", addr)
		if err != nil {
			return err
		}
		s.tls = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	}
	if addr := s.Config().Listen.HTTP; addr != "" {
		return s.serveHTTP(addr)
	}
	return nil
}

// listenOn opens one TCP listener. Go's own keep-alive probes are off: we ping, and save four system calls a link.
func listenOn(key, addr string) (net.Listener, error) {
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

// serveHTTP serves the health of the server: /healthz says that it runs, /readyz that it knows its users.
func (s *Server) serveHTTP(addr string) error {
	ln, err := listenOn("listen.http", addr)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { health(w, true) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { health(w, s.Ready()) })
	s.webAddr = ln.Addr()
	s.web = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	s.wg.Go(func() {
		if err := s.web.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.log.WithError(err).Error("serve HTTP")
		}
	})
	return nil
}

func health(w http.ResponseWriter, ok bool) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "not ready\n")
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}
