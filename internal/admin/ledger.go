package admin

import (
	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/server"
)

// ledger is the account of every stanza, with what it is off by.
func ledger(s *server.Server) api.Ledger {
	l := s.Ledger()
	_, off := l.Adds()
	return api.Ledger{Found: l.Found, Accepted: l.Accepted, Made: l.Made, Copies: l.Copies,
		Written: l.Written, Served: l.Served, Bounced: l.Bounced, Dropped: l.Dropped, Expired: l.Expired,
		Waiting: l.Waiting, Stored: l.Stored, Untold: l.Untold, Off: off}
}
