package service

import (
	"container/list"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

const (
	maxWatches = 10000     // of one link (protocol.md 1.6)
	maxWindow  = 256 << 10 // bytes of notices that wait for one link
)

// watches is which links watch which users. Readers and whoever changes a session only note here what is to be
// looked at; one goroutine, in tell.go, looks and tells.
type watches struct {
	// set once
	s      *Service
	see    func(bare []byte) []seen // one look-up in the table
	window int                      // maxWindow
	wake   chan struct{}            // one token: there is something to look at
	stop   chan struct{}
	wg     sync.WaitGroup

	count atomic.Int64 // watches of all links: without any, a change costs one load

	// guarded by mu
	mu      sync.Mutex
	idle    sync.Cond // signalled when telling becomes nil
	users   map[string]*watched
	links   map[*routing.Source]*watcher // by Stream
	dirty   []*watched                   // users to look at, at most all of them
	nodes   map[storage.NodeID]struct{}  // nodes whose record has changed
	came    bool                         // a link watches that did not before
	telling *watch                       // of which something is being sent
	running bool
	closed  bool

	// owned by run
	all    map[*watched]struct{} // every user that was looked at
	active []*watcher            // links with something to be told
	buf    []byte
}

// watched is a user whom somebody watches.
type watched struct {
	bare string // set once

	// guarded by watches.mu
	watches []*watch
	dirty   bool // it is in watches.dirty

	// owned by run
	now []seen    // at the last look; replaced whole, never changed, because watches refer to it
	at  time.Time // of the look that found it so
}

// watcher is a link that watches, or has watched: it stays as long as the link, so that a node which watches one user
// after the other is one watcher, with one window.
type watcher struct {
	src *routing.Source // set once; the first of its stream

	// guarded by watches.mu
	watches map[string]*watch // by bare JID
	due     list.List         // of *watch: there is something to be told, the longest waiting first

	// owned by run
	flow
	active bool // it is in watches.active
}

// watch is one link's watch of one user.
type watch struct {
	// set once
	user *watched
	link *watcher

	// guarded by watches.mu
	again bool          // tell what is there even if it was told
	gone  bool          // tell nothing more
	due   *list.Element // in link.due; nil: it is not there

	told []seen // what the watcher knows; owned by run
}

func newWatches(s *Service) *watches {
	ws := &watches{s: s, see: s.see, window: maxWindow, wake: make(chan struct{}, 1), stop: make(chan struct{}), users: map[string]*watched{},
		links: map[*routing.Source]*watcher{}, nodes: map[storage.NodeID]struct{}{}, all: map[*watched]struct{}{}}
	ws.idle.L = &ws.mu
	return ws
}

// Changed is for storage.Options: a session of the user has changed. It never waits for those who watch.
func (s *Service) Changed(bare []byte) {
	if s.watches.count.Load() > 0 {
		s.watches.changed(bare)
	}
}

// NodeChanged is for storage.Options: the record of a node has changed.
func (s *Service) NodeChanged(id storage.NodeID) { s.watches.nodeChanged(id) }

// Close ends the telling of changes. No stanza may be served during it or after it.
func (s *Service) Close() {
	ws := s.watches
	ws.mu.Lock()
	first := !ws.closed
	ws.closed = true
	ws.mu.Unlock()
	if first {
		close(ws.stop)
	}
	ws.wg.Wait()
}

// watch serves <watch jid=”/>: the result, the user's sessions, and then each change. Watching once more is the
// same watch: the sessions are told again. Without room for the result there is no new watch, and the error that
// says so may use the room that notices may not.
func (r *request) watch() {
	who, bad := r.bareUser("watch")
	if bad == nil && !r.s.watches.room(r.src, who.Bare()) {
		bad = refuse(-1, "wait", "resource-constraint", "a link may have "+strconv.Itoa(maxWatches)+" watches; end one with unwatch")
	}
	if bad != nil {
		r.refused(bad)
		return
	}
	switch {
	case r.s.sendHere(r.src, r.about("watch")):
		r.s.watches.add(r.src, string(who.Bare()))
	case alive(r.src):
		r.refused(refuse(-1, "wait", "resource-constraint", "as much waits for the node as may (limits.queue); read that, and watch again"))
	}
}

// unwatch serves <unwatch jid=”/>: behind the result nothing comes of that user. A result that the next link gets is
// still true there: what it watches has its own result, behind this one.
func (r *request) unwatch() {
	who, bad := r.bareUser("unwatch")
	if bad != nil {
		r.refused(bad)
		return
	}
	r.s.watches.end(r.src, who.Bare())
	if result := r.about("unwatch"); !r.s.sendHere(r.src, result) && alive(r.src) {
		r.src.Reply(result)
	}
}

// about makes the result of watch or unwatch.
func (r *request) about(what string) []byte {
	return append(append(append(r.appendResult(nil), '<'), what...), " xmlns='"+stanza.NSSessions+"'/></iq>"...)
}

// sendHere queues what does not outlive the link: on the node's next one it would tell of a watch that is no more. It
// reports false when the link takes no more of that kind for now, or has gone.
func (s *Service) sendHere(src *routing.Source, raw []byte) bool {
	return alive(src) && s.router.Ping(src.Node(), raw)
}

// noticeHere is sendHere for what can be told later.
func (s *Service) noticeHere(src *routing.Source, raw []byte) bool {
	return alive(src) && s.router.Notify(src.Node(), raw)
}

// bareUser is user for what takes no full JID.
func (r *request) bareUser(what string) (stanza.Address, *itemError) {
	who, bad := r.user()
	if bad == nil && !who.IsBare() {
		bad = refuse(-1, "modify", "jid-malformed", what+" takes a bare JID, and is for all sessions of the user; send "+string(who.Bare()))
	}
	return who, bad
}

// room reports whether a link may have a watch of the user.
func (ws *watches) room(src *routing.Source, bare []byte) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	l := ws.links[src.Stream()]
	return l == nil || len(l.watches) < maxWatches || l.watches[string(bare)] != nil
}

// add makes a watch, or has an old one told anew.
func (ws *watches) add(src *routing.Source, bare string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	l := ws.links[src.Stream()]
	if l == nil {
		src = src.Stream()
		l = &watcher{src: src, watches: map[string]*watch{}, flow: flow{window: ws.window}}
		ws.links[src], ws.came = l, true // what an earlier link left goes
	}
	w := l.watches[bare]
	if w == nil {
		u := ws.users[bare]
		if u == nil {
			u = &watched{bare: bare}
			ws.users[bare] = u
		}
		w = &watch{user: u, link: l}
		u.watches = append(u.watches, w)
		l.watches[bare] = w
		ws.count.Add(1) // before the look: what changes from here on is heard of
	}
	w.again = true
	ws.mark(w.user)
	if !ws.running && !ws.closed {
		ws.running = true
		ws.wg.Go(ws.run) // Close waits for it
	}
}

// end ends a watch, if there is one. What is being sent of it is sent before end returns.
func (ws *watches) end(src *routing.Source, bare []byte) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	l := ws.links[src.Stream()]
	if l == nil || l.watches[string(bare)] == nil {
		return
	}
	w := l.watches[string(bare)]
	ws.forget(w)
	for ws.telling == w {
		ws.idle.Wait()
	}
}

// forget takes a watch out of all lists. Called with mu held.
func (ws *watches) forget(w *watch) {
	w.gone = true
	if w.due != nil {
		w.link.due.Remove(w.due)
		w.due = nil
	}
	delete(w.link.watches, w.user.bare)
	u := w.user
	if i := slices.Index(u.watches, w); i >= 0 {
		u.watches = slices.Delete(u.watches, i, i+1)
	}
	if len(u.watches) == 0 {
		ws.mark(u) // the look forgets it
	}
	ws.count.Add(-1)
}

// mark has a user looked at. Called with mu held.
func (ws *watches) mark(u *watched) {
	if !u.dirty {
		u.dirty = true
		ws.dirty = append(ws.dirty, u)
	}
	ws.rouse()
}

// rouse wakes the goroutine, now or when it next waits.
func (ws *watches) rouse() {
	select {
	case ws.wake <- struct{}{}:
	default:
	}
}

func (ws *watches) changed(bare []byte) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if u := ws.users[string(bare)]; u != nil {
		ws.mark(u)
	}
}

func (ws *watches) nodeChanged(id storage.NodeID) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.links) == 0 {
		return
	}
	ws.nodes[id] = struct{}{}
	ws.rouse()
}
