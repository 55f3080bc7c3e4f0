package server

import (
	"time"

	"github.com/patchbay-im/patchbay/component"
	"github.com/patchbay-im/patchbay/storage"
)

// Version is the program's, as Options named it.
func (s *Server) Version() string { return s.opt.Version }

// Started is when the server was made.
func (s *Server) Started() time.Time { return s.started }

// Offline is the server's offline store, nil if nothing is stored.
func (s *Server) Offline() *storage.Offline { return s.offline }

// Gate tells of the streams that are not yet authenticated.
func (s *Server) Gate() component.GateStats { return s.acceptor.Gate.Stats() }

// AnnouncesRefused counts the requests to announce or withdraw sessions that were refused since the start, by the
// condition of the stanza error: all that there can be, also those that never happened.
func (s *Server) AnnouncesRefused() map[string]uint64 { return s.service.Refusals() }
