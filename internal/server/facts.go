package server

import (
	"time"

	"github.com/patchbay-im/patchbay/storage"
)

// Started is when the server was made.
func (s *Server) Started() time.Time { return s.started }

// Offline is the server's offline store, nil if nothing is stored.
func (s *Server) Offline() *storage.Offline { return s.offline }
