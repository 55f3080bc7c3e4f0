// Package service answers what is addressed to the server itself.
//
//	presence to a user domain ──► announce or withdraw            presence.go
//	iq with urn:patchbay:sessions:1 ──► announce, withdraw, sync   sessions.go
//	                                    where                      where.go
//	                                    watch, unwatch             watch.go
//	                                    flush                      flush.go
//	  changes of watched users ──► notices to their watchers       tell.go
//	any other iq ──► mellium mux: disco, ping, version, time, ...  mux.go
//	iq for an account (a bare user address) ──► ping and disco     mux.go
//
// It runs in the reader of the link that asked, so a flood of questions slows down nobody but the asker. Only
// the results of announces come later, from the session table's committer, once they are on disk; those of flushes, from the router,
// when all before them is in custody; and changes of watched users are told by one goroutine, which the first watch starts and
// Close ends.
package service

import (
	"sync/atomic"
	"time"

	"mellium.im/xmpp/mux"

	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// Config is what the service tells about the server.
type Config struct {
	Version  string
	Start    time.Time        // for XEP-0012
	Now      func() time.Time // nil is time.Now
	Contacts []string         // XEP-0157, as URIs
}

// Service implements routing.Service.
type Service struct {
	// set once
	cfg      Config
	sessions *storage.Sessions
	server   *mux.ServeMux // this server's own domain, and user domains
	account  *mux.ServeMux // bare addresses of users
	router   *routing.Router
	watches  *watches

	refusals refusals
	contacts atomic.Pointer[[]string] // replaced by SetContacts
}

// SetContacts changes whom those who ask are told to write to (XEP-0157), as URIs.
func (s *Service) SetContacts(uris []string) { s.contacts.Store(&uris) }

// question is an iq get or set, and the address it came from.
type question struct {
	h    *stanza.Header
	from stanza.Address
}

// payload goes to the first child of a stanza, which may rely on the declarations of src's stream header.
func payload(src *routing.Source, h *stanza.Header) (w stanza.Walker, ok bool) {
	w = h.Walk()
	w.Prefixes = src.Prefixes()
	w.Next()
	ok = w.Next()
	return w, ok
}

// New makes the service over an open session table. Bind completes it.
func New(cfg Config, sessions *storage.Sessions) *Service {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Service{cfg: cfg, sessions: sessions}
	s.SetContacts(cfg.Contacts)
	s.server, s.account = s.serverMux(), accountMux()
	s.watches = newWatches(s)
	return s
}

// Bind tells the service of the router that it serves, once, before the first stanza.
func (s *Service) Bind(r *routing.Router) { s.router = r }

// Serve acts on one stanza. See routing.Service.
func (s *Service) Serve(src *routing.Source, h *stanza.Header, from, to stanza.Address) routing.Reason {
	users := string(to.Domain()) != s.router.Server()
	switch h.Kind {
	case stanza.Presence:
		if users {
			why := s.presence(src, h, from, to)
			if why != routing.None && why.Outcome() == routing.Bounced {
				s.refusals.add(why.StanzaError().Condition)
			}
			return why
		}
		return routing.NoRoster
	case stanza.Message:
		return routing.NotServed
	}
	switch h.Type {
	case stanza.TypeGet, stanza.TypeSet:
	default:
		return routing.None // an answer to a ping of ours
	}
	if len(to.Local()) > 0 && users {
		return answer(s.account, src, question{h, from}, routing.AccountIQ)
	}
	if r := (&request{s: s, src: src, h: h, from: from, to: to}); s.flush(r) || users && s.sessionsIQ(r) {
		return routing.None
	}
	return answer(s.server, src, question{h, from}, routing.NotServed)
}

// sessionsIQ serves what urn:patchbay:sessions:1 has for a user domain; false: the request is another.
func (s *Service) sessionsIQ(r *request) bool {
	w, ok := payload(r.src, r.h)
	if !ok || string(w.Space()) != stanza.NSSessions {
		return false
	}
	var serve func()
	typ, word := stanza.TypeSet, "set"
	switch string(w.Local()) {
	case "sessions":
		serve = r.statement
	case "where":
		serve, typ, word = r.where, stanza.TypeGet, "get"
	case "watch":
		serve = r.watch
	case "unwatch":
		serve = r.unwatch
	default:
		return false
	}
	if r.h.Type != typ {
		r.refused(refuse(-1, "modify", "bad-request", string(w.Local())+" is an iq of type "+word))
		return true
	}
	serve()
	return true
}
