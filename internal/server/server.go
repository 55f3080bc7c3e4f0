// Package server puts one patchbay together: configuration, session table, router, listeners.
//
//	New ──► Start ──► accept ──► link (one goroutine, the reader) ──► routing.Source
//	                    │
//	                    └─ Stop: readers end, queues are flushed, the rest is answered, streams are closed
//
// Goroutines: one acceptor a listener, one reader a link, one keeper for idle links. Stop waits for all of
// them.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/component"
	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/service"
	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// Options are what a server needs besides its configuration.
type Options struct {
	Version string
	Log     *logrus.Entry
	OnFail  func(error)   // called once when the disk refuses what must be kept: the process has to end
	IQWait  time.Duration // how long an iq may go unanswered; 0 is 60 s
	Memory  bool          // the server may limit the memory of the process to limits.memory, and what it needs beside queues
	NoProof bool          // no link is asked for proof of delivery: for measuring what that costs

	// Load reads the configuration again, for Reload; nil: there is none to read. The Config is nil if a fault is no mere
	// warning.
	Load func() (*config.Config, config.Faults)
}

// Server is one patchbay.
type Server struct {
	// set once
	opt      Options
	log      *logrus.Entry
	started  time.Time
	sessions *storage.Sessions
	queues   *storage.Queues  // nil: nothing is kept on disk, nor stored
	offline  *storage.Offline // of queues; nil: nothing is stored
	service  *service.Service
	router   *routing.Router
	acceptor *component.Acceptor
	refusals *refusals
	keys     *keyPair
	ctx      context.Context // ends when Stop begins
	cancel   context.CancelFunc

	// set by Start
	plain, tls net.Listener
	secured    *tls.Config // of both, for TLS and STARTTLS

	closed   closedLinks
	cfg      atomic.Pointer[config.Config] // replaced whole by a reload
	refusing atomic.Int32                  // streams over the gate's bounds that are being told so
	settled  atomic.Bool                   // the settle time has passed since Start
	up       atomic.Bool                   // Start has succeeded
	wg       sync.WaitGroup
	readers  sync.WaitGroup // links that may still accept stanzas, or leave some in a queue
	closing  chan struct{}  // closed when the links may close their streams
	stopped  chan struct{}  // closed when Stop is done

	reloading sync.Mutex // held by Reload: one at a time

	// guarded by mu
	mu       sync.Mutex
	links    map[*link]struct{}
	stopping bool
	reloads  Reloads
}

// New opens the session table and the queues and makes a server that does not listen yet.
func New(cfg *config.Config, opt Options) (*Server, error) {
	now := time.Now()
	opt.OnFail = first(opt.OnFail)
	dir := cfg.Data
	if dir != config.Memory {
		dir = filepath.Join(dir, "sessions")
	}
	var svc *service.Service // nothing changes before there is a router to change it
	sessions, err := storage.OpenSessions(storage.Options{Dir: dir, Server: cfg.Server, Log: opt.Log, OnFail: opt.OnFail,
		Changed:     func(bare []byte) { svc.Changed(bare) },
		NodeChanged: func(id storage.NodeID) { svc.NodeChanged(id) }})
	if err != nil {
		return nil, err
	}
	queues, err := openQueues(cfg, opt)
	if err != nil {
		_ = sessions.Close() // nothing was written
		return nil, err
	}
	offline := offlineOf(queues, cfg)
	svc = service.New(service.Config{Version: opt.Version, Start: now, Contacts: cfg.Contacts}, sessions)
	s := &Server{opt: opt, log: opt.Log, started: now, sessions: sessions, queues: queues, offline: offline, service: svc,
		refusals: newRefusals(opt.Log), keys: &keyPair{log: opt.Log, now: time.Now}, reloads: Reloads{Last: now}, links: map[*link]struct{}{}, closing: make(chan struct{}), stopped: make(chan struct{})}
	s.cfg.Store(cfg)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.router = routing.New(routing.Config{Server: cfg.Server, Settings: settingsOf(cfg), Offline: offline, Outbox: outboxOf(queues), Counts: queues, NoProof: opt.NoProof,
		IQWait: opt.IQWait, Log: opt.Log}, sessions, svc)
	svc.Bind(s.router)
	s.acceptor = &component.Acceptor{Secrets: s.secrets, Roots: s.roots, Ours: s.router.IsOurs, Gate: component.NewGate(nil)}
	return s, nil
}

// secrets gives the secrets that are valid for a domain.
func (s *Server) secrets(domain string) [][]byte {
	n, ok := s.Config().Node(domain)
	if !ok {
		return nil
	}
	return n.Secrets(domain)
}

// Config is the configuration that acts now. It is not changed: a reload puts another in its place.
func (s *Server) Config() *config.Config { return s.cfg.Load() }

// Router is the server's router.
func (s *Server) Router() *routing.Router { return s.router }

// Sessions is the server's session table.
func (s *Server) Sessions() *storage.Sessions { return s.sessions }

// ComponentAddr is where nodes attach without TLS, empty if nowhere.
func (s *Server) ComponentAddr() string { return addrOf(s.plain) }

// ComponentTLSAddr is where nodes attach with TLS, empty if nowhere.
func (s *Server) ComponentTLSAddr() string { return addrOf(s.tls) }

func addrOf(ln net.Listener) string {
	if ln == nil {
		return ""
	}
	return ln.Addr().String()
}

// Ready reports whether the server knows where its users are, or has waited long enough for their nodes.
func (s *Server) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.stopping && !s.router.Draining() && (s.router.Complete() || s.settled.Load())
}

// Stopping reports whether Stop has begun.
func (s *Server) Stopping() bool { return s.ctx.Err() != nil }

// Attached reports whether a node has a link.
func (s *Server) Attached(domain string) bool {
	n := s.router.Node(domain)
	return n != nil && n.Reachable() == routing.Attached
}

// looks bounds how often Ledger looks: under load there may be no moment at which no stanza is between two counters.
const looks = 100

// Ledger gives the account of every stanza, at a moment when it adds up, or of several the one that is least off.
func (s *Server) Ledger() (best routing.Ledger) {
	least := int64(math.MaxInt64)
	for range looks {
		l := s.router.Ledger()
		ok, off := l.Adds()
		if off = max(off, -off); off < least {
			best, least = l, off
		}
		if ok {
			break
		}
		runtime.Gosched()
	}
	return best
}

// Start listens. On an error nothing is left listening.
func (s *Server) Start() error {
	if err := s.listen(); err != nil {
		s.closeListeners()
		return err
	}
	s.router.Returning()
	settle := time.AfterFunc(s.Config().Timers.Settle, func() { s.settled.Store(true) })
	context.AfterFunc(s.ctx, func() { settle.Stop() })
	for _, ln := range []net.Listener{s.plain, s.tls} {
		if ln != nil {
			s.wg.Go(func() { s.accept(ln) })
		}
	}
	s.wg.Go(s.keep)
	s.up.Store(true)
	return nil
}

// Stop ends the server in orderly fashion, within the drain time: readers first, so that nothing new comes;
// then the queues are written; what can not be written is answered; then each stream ends with
// <system-shutdown/> (RFC 6120 4.9.3.20).
func (s *Server) Stop() error {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		<-s.stopped
		return nil
	}
	s.stopping = true
	defer close(s.stopped)
	links := make([]*link, 0, len(s.links))
	for l := range s.links {
		links = append(links, l)
	}
	s.mu.Unlock()
	s.cancel()
	s.closeListeners()
	for _, l := range links {
		l.stop(&stanza.StreamError{Condition: "system-shutdown", Text: "the router is stopping; attach again when it is back"})
	}
	s.readers.Wait()
	s.service.Close()
	ctx, cancel := context.WithTimeout(context.Background(), s.Config().Timers.Drain)
	s.router.Drain(ctx)
	cancel()
	close(s.closing)
	for _, l := range links {
		l.hush()
	}
	s.wg.Wait()
	s.refusals.summarise(time.Now(), 0)
	s.router.Close()
	if s.up.Load() {
		s.logLedger()
	}
	err := s.sessions.Close()
	if s.queues != nil {
		err = errors.Join(err, s.queues.Close())
	}
	return err
}

// logLedger tells the account of the server's life, with the reasons of what was not delivered.
func (s *Server) logLedger() {
	l := s.router.Ledger()
	var reasons []string
	for _, why := range slices.Sorted(maps.Keys(l.Reasons)) {
		reasons = append(reasons, fmt.Sprintf("%s:%d", why, l.Reasons[why]))
	}
	log := s.log.WithFields(logrus.Fields{"accepted": l.Accepted, "made": l.Made, "copies": l.Copies, "delivered": l.Delivered, "written": l.Written,
		"served": l.Served, "bounced": l.Bounced, "dropped": l.Dropped, "waiting": l.Waiting})
	if s.queues != nil {
		log = log.WithFields(logrus.Fields{"found": l.Found, "expired": l.Expired, "stored": l.Stored})
	}
	if l.Untold > 0 {
		log = log.WithField("untold", l.Untold)
	}
	if len(reasons) > 0 {
		log = log.WithField("why", strings.Join(reasons, ","))
	}
	log.Info("stopped")
}

func (s *Server) closeListeners() {
	for _, ln := range []net.Listener{s.plain, s.tls} {
		if ln != nil {
			_ = ln.Close()
		}
	}
}

// InUseError says that an address to listen on is taken by another program.
type InUseError struct {
	Key  string // the key of the configuration that names the address
	Addr string
	Err  error
}

// Error names the address.
func (e *InUseError) Error() string { return fmt.Sprintf("%s is in use", e.Addr) }

// Unwrap gives the cause.
func (e *InUseError) Unwrap() error { return e.Err }

// accept takes connections until the listener closes.
func (s *Server) accept(ln net.Listener) {
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			s.wg.Go(func() { s.serve(nc, ln == s.tls) })
		case errors.Is(err, net.ErrClosed):
			return
		default:
			s.log.WithError(err).Error("accept a connection")
			select {
			case <-s.ctx.Done():
			case <-time.After(100 * time.Millisecond): // out of files, most likely: do not spin
			}
		}
	}
}
