package service

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// The steps in which the goroutine goes on, so that nobody waits for all that another has to be told.
const (
	looksAtOnce = 256 // users between two links
	tellsAtOnce = 64  // watches of one link before the next
	pauseLeast  = 5 * time.Millisecond
	pauseMost   = time.Second
)

// flow is how far a link has taken what it was sent: a window of bytes waits in its queue at most, however many
// changes there are. What does not fit is not kept: later the table is looked at again. So changes of one user that
// follow each other quickly, or faster than the link takes them, are told as one.
type flow struct {
	window int           // bytes
	sent   int           // bytes since the last mark
	mark   uint64        // position in the queue of the last of them
	pause  time.Duration // doubled at each vain try
	next   time.Time     // of the next try
}

// open reports whether more may be sent: the last window has left the queue, whatever else waits there now.
func (f *flow) open(n *routing.Node) bool {
	if f.sent < f.window {
		return true
	}
	if q := n.Queue(); q.Queued-q.Waiting < f.mark {
		return false
	}
	f.sent = 0
	return true
}

// wait puts the next try off.
func (f *flow) wait(now time.Time, progress bool) {
	f.pause = min(2*f.pause, pauseMost)
	if progress || f.pause == 0 {
		f.pause = pauseLeast
	}
	f.next = now.Add(f.pause)
}

// run compares what watchers were told with the table, and tells the difference.
func (ws *watches) run() {
	for {
		ws.turn()
		var retry <-chan time.Time
		if wait := ws.nextTry(); wait >= 0 {
			retry = time.After(wait)
		}
		select {
		case <-ws.stop:
			return
		case <-ws.wake:
		case <-retry:
		}
	}
}

// turn looks at some users and tells each link some.
func (ws *watches) turn() {
	users, nodes, links := ws.take()
	if links {
		ws.dropGone()
	}
	if len(nodes) > 0 {
		ws.review(nodes)
	}
	for _, u := range users {
		ws.look(u)
	}
	for _, l := range ws.active {
		ws.tellLink(l)
	}
	ws.active = slices.DeleteFunc(ws.active, func(l *watcher) bool { return !l.active })
}

// nextTry is how long until the next link can be told more, negative if there is none.
func (ws *watches) nextTry() time.Duration {
	wait := time.Duration(-1)
	now := time.Now()
	for _, l := range ws.active {
		if d := max(0, l.next.Sub(now)); wait < 0 || d < wait {
			wait = d
		}
	}
	return wait
}

// take gives users to look at, and all nodes that have changed; links may have gone.
func (ws *watches) take() (users []*watched, nodes map[storage.NodeID]struct{}, links bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	links, ws.came = ws.came || len(ws.nodes) > 0, false
	if len(ws.nodes) > 0 {
		nodes, ws.nodes = ws.nodes, map[storage.NodeID]struct{}{}
	}
	n := min(looksAtOnce, len(ws.dirty))
	users = slices.Clone(ws.dirty[:n])
	ws.dirty = ws.dirty[n:]
	if len(ws.dirty) > 0 {
		ws.rouse()
	}
	for _, u := range users {
		u.dirty = false // what changes from here on is another look
	}
	return users, nodes, links
}

// dropGone forgets links that have gone.
func (ws *watches) dropGone() {
	for _, l := range ws.allLinks() {
		if !stays(l.src) {
			ws.drop(l)
		}
	}
}

// review has those users looked at that have a session on a node that has changed. Only watched users are gone through,
// however many sessions the node has.
func (ws *watches) review(nodes map[storage.NodeID]struct{}) {
	var users []*watched
	for u := range ws.all {
		if slices.ContainsFunc(u.now, func(x seen) bool { _, ok := nodes[x.node]; return ok }) {
			users = append(users, u)
		}
	}
	for some := range slices.Chunk(users, looksAtOnce) {
		ws.markAll(some)
	}
}

func (ws *watches) allLinks() []*watcher {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return slices.Collect(maps.Values(ws.links))
}

func (ws *watches) markAll(users []*watched) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, u := range users {
		ws.mark(u)
	}
}

// alive reports whether a link is still its node's, or one that goes on with it.
func alive(src *routing.Source) bool { return stays(src) && src.Node().State() == routing.Attached }

// stays reports whether a link is still its node's, or one that goes on with it is or may be.
func stays(src *routing.Source) bool { return src.Node().Stream() == src.Stream() }

// drop forgets a link that has gone, in pieces: whoever changes a session waits for no more than one of them.
func (ws *watches) drop(l *watcher) {
	ws.mu.Lock()
	if ws.links[l.src] == l {
		delete(ws.links, l.src)
	}
	all := slices.Collect(maps.Values(l.watches))
	ws.mu.Unlock()
	for some := range slices.Chunk(all, looksAtOnce) {
		ws.mu.Lock()
		for _, w := range some {
			if !w.gone {
				ws.forget(w)
			}
		}
		ws.mu.Unlock()
	}
}

// look reads a user from the table, and queues the watches that have something to be told.
func (ws *watches) look(u *watched) {
	now := ws.see([]byte(u.bare))
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(u.watches) == 0 {
		if ws.users[u.bare] == u { // else it was forgotten before, and is watched anew
			delete(ws.users, u.bare)
		}
		delete(ws.all, u)
		return
	}
	ws.all[u] = struct{}{}
	if !slices.Equal(u.now, now) {
		u.now, u.at = now, time.Now()
	}
	for _, w := range u.watches {
		if w.again {
			w.again, w.told = false, anew(w.told)
		}
		if w.due == nil && !slices.Equal(w.told, u.now) {
			w.due = w.link.due.PushBack(w)
			ws.activate(w.link)
		}
	}
}

// anew is what a watcher was told, to be told once more.
func anew(told []seen) []seen {
	told = slices.Clone(told)
	for i := range told {
		told[i].again = true
	}
	return told
}

func (ws *watches) activate(l *watcher) {
	if !l.active {
		l.active = true
		ws.active = append(ws.active, l)
	}
}

// tellLink tells a link some of what it is to be told.
func (ws *watches) tellLink(l *watcher) {
	now := time.Now()
	if now.Before(l.next) {
		return
	}
	if !stays(l.src) {
		ws.drop(l)
	}
	for n := range tellsAtOnce {
		w := ws.begin(l)
		if w == nil {
			l.active, l.pause = false, 0
			return
		}
		ok := l.open(l.src.Node()) && ws.tell(w)
		ws.finish(w, ok)
		if !ok {
			l.wait(now, n > 0)
			return
		}
	}
}

// begin takes the next watch that has something to be told.
func (ws *watches) begin(l *watcher) *watch {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	e := l.due.Front()
	if e == nil {
		return nil
	}
	w := l.due.Remove(e).(*watch)
	w.due, ws.telling = nil, w
	return w
}

// finish ends what begin began; a watch that was not told all is the next once more.
func (ws *watches) finish(w *watch, ok bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.telling = nil
	ws.idle.Broadcast()
	if !ok && !w.gone {
		w.due = w.link.due.PushFront(w)
	}
}

// tell sends a watcher the difference between what it knows and what there is, both by rising resource. It reports
// false when the link takes no more for now; what was sent until then is known.
func (ws *watches) tell(w *watch) bool {
	told, now := w.told, w.user.now
	for i, j := 0, 0; i < len(told) || j < len(now); {
		di, dj := step(told[i:], now[j:])
		ok := true
		switch {
		case dj == 0:
			ok = ws.sendEnd(w, &told[i])
		case di == 0 || !told[i].same(now[j]):
			ok = ws.send(w, ws.present(w, &now[j]))
		}
		if !ok {
			w.told = slices.Concat(now[:j], told[i:])
			return false
		}
		i, j = i+di, j+dj
	}
	w.told = now
	return true
}

// same reports whether two sessions are told alike.
func (x seen) same(y seen) bool {
	y.inc = x.inc
	return x == y
}

// step tells which of two lists by rising resource goes on with the lower one: 1 for it, and for both if they are equal.
func step(told, now []seen) (i, j int) {
	switch {
	case len(now) == 0:
		return 1, 0
	case len(told) == 0:
		return 0, 1
	}
	switch strings.Compare(told[0].resource, now[0].resource) {
	case -1:
		return 1, 0
	case 1:
		return 0, 1
	}
	return 1, 1
}

// send queues a notice for a watcher. Like the watch it does not outlive the link, and it may take half of the queue at
// most: the rest is for what is said once only. What is refused is told later, as the table has it then.
func (ws *watches) send(w *watch, notice []byte) bool {
	l := w.link
	ws.buf = notice
	if !ws.s.noticeHere(l.src, notice) {
		return false
	}
	if l.sent += len(notice); l.sent >= l.window {
		l.mark = l.src.Node().Queue().Queued
	}
	return true
}

// present makes the notice of a session that is there.
func (ws *watches) present(w *watch, x *seen) []byte {
	out := w.appendFrom(append(ws.buf[:0], "<presence from='"...), x)
	out = append(out, "'>"...)
	if x.priority != 0 {
		out = strconv.AppendInt(append(out, "<priority>"...), int64(x.priority), 10)
		out = append(out, "</priority>"...)
	}
	out = x.appendTo(append(out, "<session xmlns='"+stanza.NSSessions+"'"...))
	return append(out, "/></presence>"...)
}

// sendEnd sends the notice of a session that is there no more. Why it ended is noted a moment after the end itself;
// when so many have ended since that it is forgotten, the notice does not say it.
func (ws *watches) sendEnd(w *watch, x *seen) bool {
	why, known := ws.why(w.user.bare, x)
	if !known && time.Since(w.user.at) < pauseLeast {
		return false
	}
	out := w.appendFrom(append(ws.buf[:0], "<presence type='unavailable' from='"...), x)
	out = append(out, "'><session xmlns='"+stanza.NSSessions+"' node='"...)
	out = append(append(out, x.domain...), '\'')
	if known {
		out = append(append(append(out, " why='"...), why.String()...), '\'')
	}
	return ws.send(w, append(out, "/></presence>"...))
}

// appendFrom appends the values of from and to.
func (w *watch) appendFrom(dst []byte, x *seen) []byte {
	dst = append(stanza.AppendEscaped(dst, []byte(w.user.bare)), '/')
	dst = stanza.AppendEscaped(dst, []byte(x.resource))
	return append(append(dst, "' to='"...), w.link.src.Node().Domain...)
}

// why tells how a session ended that a watcher knows of, if it can be told.
func (ws *watches) why(bare string, x *seen) (storage.Why, bool) {
	if rec, ok := ws.s.sessions.Node(x.node); ok && x.inc < rec.Base {
		return storage.NodeLeft, true // the sweep, which would note it, may be yet to come
	}
	for _, e := range ws.s.sessions.Ended([]byte(bare)) {
		if e.Node == x.node && e.Since.Unix() == x.since && e.JID[len(bare)+1:] == x.resource {
			return e.Why, true
		}
	}
	return 0, false
}
