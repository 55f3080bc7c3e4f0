package server

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/say"
	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
)

// ErrNoFile is returned by Reload of a server that was started without a file.
var ErrNoFile = errors.New("reload: this server was started without a file; start it with --config FILE")

// errNoStore is for a user domain that is new under a policy that was of no use before.
var errNoStore = errors.New("reload: a new user domain would store messages (offline.policy), and the offline store is opened at the start only; " +
	"restart, or give the domain another policy under offline.domains")

// ErrStopping is returned by what is asked of a server that stops.
var ErrStopping = errors.New("the server is stopping")

// Reloaded is what a reload did.
type Reloaded struct {
	Changes  []Change
	Warnings config.Faults
}

// Change is one key that differs from what acted before.
type Change struct {
	config.Change
	Applied bool   // false: it needs a restart
	Note    string // what follows from it, "" if nothing that is not said already
}

// Reloads counts reloads since the start.
type Reloads struct {
	OK, Failed uint64
	Last       time.Time // when the configuration that acts was loaded
	Refused    bool      // the last one was: what acts is not what the file says
	Waiting    []string  // keys of the file that act after a restart only, in its order; replaced whole
}

// Reload loads the configuration again and puts it in the place of the one that acts. Links stay, but for those of nodes
// that the new one does not name. The error is config.Faults if the file has any: then nothing has changed. It is called
// for one reload at a time; others wait.
func (s *Server) Reload() (Reloaded, error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	done, err := s.reload()
	s.mu.Lock()
	if err != nil {
		s.reloads.Failed++
		s.reloads.Refused = s.reloads.Refused || !errors.Is(err, ErrNoFile) && !errors.Is(err, ErrStopping)
	} else {
		s.reloads.OK++
		s.reloads.Refused = false
		s.reloads.Last = time.Now()
		s.reloads.Waiting = waiting(done.Changes)
	}
	s.mu.Unlock()
	s.tellReload(done, err)
	return done, err
}

// waiting gives the keys that differ and were not applied.
func waiting(all []Change) []string {
	var keys []string
	for _, c := range all {
		if !c.Applied {
			keys = append(keys, c.Path)
		}
	}
	return keys
}

// Reloads tells how often the configuration was loaded again.
func (s *Server) Reloads() Reloads {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reloads
}

func (s *Server) reload() (Reloaded, error) {
	if s.opt.Load == nil {
		return Reloaded{}, ErrNoFile
	}
	if s.ctx.Err() != nil {
		return Reloaded{}, ErrStopping
	}
	next, faults := s.opt.Load()
	if next == nil || faults.Fatal() {
		return Reloaded{}, faults
	}
	was := s.Config()
	acting := was.Reloaded(next)
	noStore := s.offline == nil && acting.Stores()
	if noStore {
		acting = was.KeepOffline(acting)
	}
	cert, err := readCertificateOf(acting)
	if err != nil {
		return Reloaded{}, err
	}
	if err := s.router.Apply(settingsOf(acting)); errors.Is(err, routing.ErrNoStore) {
		return Reloaded{}, errNoStore
	} else if err != nil {
		return Reloaded{}, err
	}
	s.keys.use(cert) // the last that could fail has not
	s.cfg.Store(acting)
	if s.offline != nil {
		s.offline.SetTotal(acting.Offline.Total)
	}
	if s.queues != nil {
		s.queues.SetDisk(diskOf(acting))
	}
	s.service.SetContacts(acting.Contacts)
	s.setLevel(acting.Log.Level)
	ended := s.reconcile()
	return Reloaded{Changes: changes(was, next, ended, noStore), Warnings: faults}, nil
}

// setLevel changes what is logged.
func (s *Server) setLevel(word string) {
	if level, err := logrus.ParseLevel(word); err == nil {
		s.log.Logger.SetLevel(level)
	}
}

// changes lists what differs, and what follows from it.
func changes(was, next *config.Config, ended map[string]*effect, noStore bool) []Change {
	var all []Change
	found := config.Diff(was, next)
	if noStore {
		found = config.WithoutStore(found, next)
	}
	for _, c := range found {
		change := Change{Change: c, Applied: c.Live}
		switch {
		case !c.Live && strings.HasPrefix(c.Path, "offline."):
			change.Note = "the offline store is opened at the start only"
		case strings.HasPrefix(c.Path, "nodes["):
			domain, key, _ := strings.Cut(strings.TrimPrefix(c.Path, "nodes["), "]")
			if e := ended[domain]; e != nil {
				change.Note = e.String()
			}
			if change.Note == "" && key == ".secret" {
				change.Note = "links that are attached stay"
			}
		}
		all = append(all, change)
	}
	return all
}

// tellReload logs a reload, with each change.
func (s *Server) tellReload(done Reloaded, err error) {
	if err != nil {
		s.log.WithError(err).Error("reload: nothing was changed")
		return
	}
	for _, c := range done.Changes {
		log := s.log.WithFields(logrus.Fields{"key": c.Path, "old": c.Old, "new": c.New})
		if c.Note != "" {
			log = log.WithField("note", c.Note)
		}
		if c.Applied {
			log.Info("reload: changed")
		} else {
			log.Warn("reload: needs a restart")
		}
	}
	file, digest := s.Config().Source()
	s.log.WithFields(logrus.Fields{"config": file, "sha256": digest, "changes": len(done.Changes)}).Info("configuration reloaded")
}

// grantOf is what an entry of the configuration lets a node do.
func grantOf(entry *config.Node) *routing.Grant {
	return &routing.Grant{Users: entry.Users, SpeakDomain: entry.Speak == config.SpeakDomain,
		TakeOver: entry.Takeover != config.TakeoverNever, Instances: entry.Instances,
		DropUnproved: entry.Unproved == config.UnprovedDrop}
}

var (
	errNodeGone = &stanza.StreamError{Condition: "host-gone", Text: "this domain was taken out of the configuration; ask who runs the router"}
	errFewer    = &stanza.StreamError{Condition: "conflict", Text: "fewer links may share this domain now (nodes[].instances); attach again if no other link has it, or allow more"}
	errUsersNow = &stanza.StreamError{Condition: "reset", Text: "this domain may hold users now, which a link that shared it cannot; attach again"}
)

// effect is what a reload did to the links of a domain.
type effect struct {
	sessions, links int  // that ended
	gone            bool // the configuration has the domain no more
}

func (e *effect) add(more effect) {
	e.sessions, e.links, e.gone = e.sessions+more.sessions, e.links+more.links, e.gone || more.gone
}

// String says it in words, "" if nothing happened.
func (e effect) String() string {
	switch {
	case e.gone && e.links == 1:
		return "its link was ended"
	case e.links > 0:
		return say.Count(e.links, "link") + " ended"
	case e.sessions > 0:
		return say.Count(e.sessions, "session") + " ended"
	}
	return ""
}

// reconcile brings every link in line with the configuration that acts, and tells by the entry's domain what followed.
func (s *Server) reconcile() map[string]*effect {
	effects := map[string]*effect{}
	for _, l := range s.openLinks() {
		src := l.source()
		if src == nil {
			continue // it will look by itself once it is attached
		}
		domain := src.Node().Domain
		if effects[domain] == nil {
			effects[domain] = &effect{}
		}
		effects[domain].add(l.reconcile())
	}
	return effects
}

// reconcile brings the link in line with the configuration that acts. It is called after the source is published and
// after each change of the configuration, so that none is missed; one that comes while it runs makes it look again, for
// the two may do so in either order.
func (l *link) reconcile() (done effect) {
	for {
		cfg := l.s.Config()
		done.add(l.follow(cfg))
		if done.links > 0 || l.s.Config() == cfg {
			return done
		}
	}
}

// follow brings the link in line with a configuration.
func (l *link) follow(cfg *config.Config) effect {
	src := l.source()
	l.conn.LimitSilence(deadAfter * cfg.Timers.Ping)
	entry, ok := cfg.Node(src.Node().Domain)
	switch {
	case !ok || l.s.router.IsOurs(src.Node().Domain):
		l.stop(errNodeGone)
		return effect{links: 1, gone: true}
	case src.Place() >= max(1, entry.Instances):
		l.stop(errFewer)
		return effect{links: 1}
	case src.Grant().Instances > 1 && len(entry.Users) > 0:
		l.stop(errUsersNow)
		return effect{links: 1}
	}
	grant := grantOf(entry)
	if same(src.Grant(), grant) {
		return effect{}
	}
	return effect{sessions: src.Regrant(grant)}
}

func same(a, b *routing.Grant) bool {
	sorted := func(g *routing.Grant) routing.Grant {
		own := *g
		own.Users, own.Instances = slices.Sorted(slices.Values(g.Users)), max(1, g.Instances)
		return own
	}
	return reflect.DeepEqual(sorted(a), sorted(b))
}
