package soak

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// whole reports whether all are attached, and the server knows who is where.
func (w *world) whole() error {
	var status statusLook
	if err := w.s.look("status", &status); err != nil {
		return err
	}
	if !status.View || status.Held > 0 {
		return fmt.Errorf("the view is complete: %v, %d stanzas held", status.View, status.Held)
	}
	all, err := w.nodes()
	if err != nil {
		return err
	}
	for _, m := range w.members {
		if m.node == nil && m.link() == nil || all[m.name].State != "attached" {
			return fmt.Errorf("%s is %q", m.name, all[m.name].State)
		}
	}
	return nil
}

func (w *world) nodes() (map[string]nodeLook, error) {
	var answer struct {
		Nodes []nodeLook `json:"nodes"`
	}
	if err := w.s.look("nodes", &answer); err != nil {
		return nil, err
	}
	all := map[string]nodeLook{}
	for _, n := range answer.Nodes {
		all[n.Domain] = n
	}
	return all, nil
}

// still reports whether nothing is on its way: but for the last window of a node that proves nothing, and what is stored.
func (w *world) still() error {
	all, err := w.nodes()
	if err != nil {
		return err
	}
	for _, m := range w.members {
		n := all[m.name]
		if n.Queue+n.Outbox > 0 || n.Unproved > 0 && m.who != written {
			return fmt.Errorf("%d stanzas wait for %s, %d on disk, %d unproved", n.Queue, m.name, n.Outbox, n.Unproved)
		}
	}
	return w.whole()
}

// rests reports whether nothing waits and nothing moves: what is stored is sent a part at a time, and between two of them nothing waits.
func (w *world) rests() error {
	before, err := w.moved()
	if err != nil {
		return err
	}
	pause(w.ctx, 50*time.Millisecond)
	after, err := w.moved()
	if err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("%d stanzas had come and %d were stored, then %d and %d", before.came, before.stored, after.came, after.stored)
	}
	return w.still()
}

// moves is what changes while anything is on its way.
type moves struct{ came, stored int }

func (w *world) moved() (moves, error) {
	var status statusLook
	err := w.s.look("status", &status)
	return moves{w.book.arrivals(), status.Ledger.Stored}, err
}

// judge holds what the server says against what it has promised, when all is quiet.
func (w *world) judge(t *testing.T) {
	t.Helper()
	w.await(t, "the ledger to add up", func() error {
		var status statusLook
		if err := w.s.look("status", &status); err != nil || status.Ledger.Off != 0 {
			return fmt.Errorf("it is off by %d: %w", status.Ledger.Off, err)
		}
		return nil
	})
	for _, r := range w.book.refusals() {
		if why := w.table.wrong(r.to, r.condition); why != "" {
			w.book.refuse("%s, the answer to a message to %s, %s", r.condition, r.to, why)
		}
	}
	w.clock(t)
	w.holders(t)
}

// spoken is an entity time (XEP-0202).
var spoken = regexp.MustCompile(`<utc>([^<]*)</utc>`)

// clock sees that the server has the time that its clock was set to: else nothing was tested.
func (w *world) clock(t *testing.T) {
	t.Helper()
	h := w.members[proved].link()
	if h == nil {
		return // as holders says
	}
	due := time.Now().Add(w.s.ahead)
	e, err := h.ask(w.ctx, question{"get", hub, "<time xmlns='urn:xmpp:time'/>", nil})
	if err != nil {
		w.fail(t, "ask for the time: %v", err)
	}
	found := spoken.FindStringSubmatch(e.Inner)
	if found == nil {
		w.fail(t, "the answer to a question for the time is %q", e.Inner)
	}
	if at, err := time.Parse(time.RFC3339, found[1]); err != nil || at.Sub(due).Abs() > patience {
		w.book.refuse("the server's clock says %s, and was set to %v (%v)", found[1], due.UTC(), err)
	}
}

var sessions = regexp.MustCompile(`<session\s[^>]*>`)

// holders asks the server who is where, and holds it against what was committed and against what the nodes believe.
func (w *world) holders(t *testing.T) {
	t.Helper()
	claims := map[string][]int{}
	for _, m := range w.members {
		for _, name := range m.holds() {
			claims[name] = append(claims[name], m.who)
		}
	}
	for _, to := range targets {
		if !strings.Contains(to, "/") {
			continue
		}
		h := w.members[proved].link()
		if h == nil {
			w.fail(t, "%s is away, though all is quiet", names[proved])
		}
		found, err := w.where(h, to)
		if err != nil {
			w.fail(t, "ask where %s is: %v", to, err)
		}
		holder := nobody
		if len(found) > 0 {
			holder = found[0]
		}
		if len(found) > 1 {
			w.book.refuse("%s has the sessions %v", to, found)
		}
		if err := w.table.hold(to, holder); err != nil {
			w.book.refuse("%v", err)
		}
		if believed := claims[to]; holder == nobody && len(believed) > 0 || holder != nobody && !slices.Equal(believed, []int{holder}) {
			w.book.refuse("%s is held by %s; %v believe that they hold it", to, nameOf(holder), believed)
		}
	}
}

// where asks the server who holds a user.
func (w *world) where(h *hand, name string) (holders []int, err error) {
	_, domain, _ := strings.Cut(name, "@")
	domain, _, _ = strings.Cut(domain, "/")
	e, err := h.ask(w.ctx, question{"get", domain, "<where xmlns='urn:patchbay:sessions:1' jid='" + name + "'/>", nil})
	if err != nil {
		return nil, err
	}
	for _, s := range sessions.FindAllString(e.Inner, -1) {
		holders = append(holders, slices.IndexFunc(names, func(name string) bool { return strings.Contains(s, domainOf(name)) }))
	}
	return holders, nil
}

// holds gives the users that a member believes to hold.
func (m *member) holds() (all []string) {
	if m.node != nil {
		return m.node.holds()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.mine {
		all = append(all, name)
	}
	return all
}

// finish has all users log in, so that what is stored comes too, and stops the server.
func (w *world) finish(t *testing.T) {
	t.Helper()
	for i, to := range targets {
		if strings.Contains(to, "/") {
			m := w.members[i%2]
			m.do(func() { m.says(to, true) })
		}
	}
	w.settle(t)
	kills := int(w.kills.Load())
	w.await(t, "what was stored", func() error {
		if n, _, first := w.book.lacks(kills, func(string) bool { return false }); n > 0 {
			return fmt.Errorf("%d stanzas never came, e.g. %s", n, first)
		}
		return nil
	})
	w.await(t, "nothing to be stored", func() error {
		var status statusLook
		if err := w.s.look("status", &status); err != nil || status.Ledger.Stored != 0 {
			return fmt.Errorf("%d are stored: %w", status.Ledger.Stored, err)
		}
		return nil
	})
	w.s.stop(t)
	w.failed(t)
}
