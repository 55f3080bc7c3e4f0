package bench

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/server"
)

// The names of the server under test.
const (
	benchServer = "hub1.im.example"
	benchUsers  = "im.example"
	benchSecret = "a secret of the benchmarks"
)

// benchConfig is the configuration of a development server, on any free port.
func benchConfig(data, certDir string) (*config.Config, error) {
	if data == "" {
		data = config.Memory
	}
	cfg, err := config.Development(data)
	if err != nil {
		return nil, err
	}
	cfg.Listen.Component, cfg.Listen.HTTP = "127.0.0.1:0", ""
	cfg.Nodes[0].Secret = []config.Secret{benchSecret}
	if certDir != "" {
		cfg.Listen.ComponentTLS = "127.0.0.1:0"
		cfg.TLS = config.TLS{Cert: filepath.Join(certDir, "cert.pem"), Key: filepath.Join(certDir, "key.pem")}
	}
	if faults := cfg.Validate(); faults.Fatal() {
		return nil, errors.New(faults[0].Message)
	}
	return cfg, nil
}

// servePatchbay starts our server as it is shipped: it logs each attach, here to nowhere.
func servePatchbay() (*running, error) {
	cfg, err := benchConfig(os.Getenv(dataEnv), os.Getenv(tlsEnv))
	if err != nil {
		return nil, err
	}
	cfg.Timers.Drain = time.Second
	if os.Getenv(storeEnv) != "" {
		cfg.Offline.Policy = config.PolicyStore
	}
	if bytes, err := strconv.ParseInt(os.Getenv(memoryEnv), 10, 64); err == nil {
		cfg.Limits.Memory, cfg.Limits.Outbox, cfg.Timers.Grace = bytes, 2<<30, 5*time.Minute
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	s, err := server.New(cfg, server.Options{Version: "bench", Memory: true, NoProof: os.Getenv(proofEnv) == "off", Log: logrus.NewEntry(log), OnFail: func(error) { os.Exit(1) }})
	if err != nil {
		return nil, err
	}
	if err := s.Start(); err != nil {
		return nil, err
	}
	return &running{plain: s.ComponentAddr(), overTLS: s.ComponentTLSAddr(), stop: s.Stop, ledger: s.Ledger}, nil
}

// serveNATS starts nats-server as it is shipped, without its log.
func serveNATS() (*running, error) {
	opts := &natsd.Options{Host: "127.0.0.1", Port: natsd.RANDOM_PORT, NoLog: true, NoSigs: true}
	if dir := os.Getenv(tlsEnv); dir != "" {
		cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
		if err != nil {
			return nil, err
		}
		opts.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
		opts.TLSHandshakeFirst, opts.TLSTimeout = true, 10
	}
	s, err := natsd.NewServer(opts)
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return nil, errors.New("nats-server is not ready")
	}
	addr := s.Addr().String()
	r := &running{stop: func() error {
		s.Shutdown()
		return nil
	}}
	if opts.TLSConfig != nil {
		r.overTLS = addr
	} else {
		r.plain = addr
	}
	return r, nil
}
