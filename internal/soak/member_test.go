package soak

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/internal/fault"
)

// member is one node of a soak: it attaches again whenever its link has dropped, and then says whom it has.
type member struct {
	w    *world
	who  int
	name string // its domain
	net  *fault.Proxy
	work chan func()  // what it does, one after the other
	left atomic.Int64 // of it

	links atomic.Int64 // made so far
	kills atomic.Int64 // of the server, when the last was made
	node  *sdk         // nil: by hand

	mu   sync.Mutex
	down bool            // guarded by mu, as all below: it does not attach
	hand *hand           // nil: away
	mine map[string]bool // whom it holds, as far as it was told

	saying map[string]int  // statements about a user that are not answered
	doubt  map[string]bool // a notice came meanwhile: it may tell of what was before, or after
}

func newMember(t *testing.T, w *world, who int) *member {
	t.Helper()
	proxy, err := fault.Listen(w.s.component)
	if err != nil {
		t.Fatal(err)
	}
	m := &member{w: w, who: who, name: domainOf(names[who]), net: proxy, work: make(chan func(), 1<<12), mine: map[string]bool{},
		saying: map[string]int{}, doubt: map[string]bool{}}
	t.Cleanup(proxy.Close)
	if who == acked {
		m.node = newSDK(t, m)
	} else {
		w.running.Go(m.keep)
	}
	w.running.Go(m.works)
	return m
}

// works does what is asked of the member.
func (m *member) works() {
	for {
		select {
		case do := <-m.work:
			do()
			m.left.Add(-1)
		case <-m.w.ctx.Done():
			return
		}
	}
}

// do lets the member do something when it has done all else.
func (m *member) do(what func()) {
	m.left.Add(1)
	m.work <- what
}

// keep keeps a member by hand attached.
func (m *member) keep() {
	for m.w.ctx.Err() == nil {
		kills := m.w.kills.Load()
		if m.isDown() {
			pause(m.w.ctx, 5*time.Millisecond)
			continue
		}
		h, err := m.attach()
		if err != nil {
			pause(m.w.ctx, 20*time.Millisecond)
			continue
		}
		m.links.Add(1)
		m.kills.Store(kills)
		go h.read() // ends with the link
		if m.sync(h) {
			m.mu.Lock()
			m.hand = h
			m.mu.Unlock()
		} else {
			_ = h.conn.Close()
		}
		select {
		case <-h.over:
		case <-m.w.ctx.Done():
			_ = h.conn.Close()
			<-h.over
		}
		m.w.book.hung(m.who)
		m.mu.Lock()
		m.hand = nil
		m.mu.Unlock()
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (m *member) isDown() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.down
}

// link gives the link of a member by hand that is attached and has said whom it has.
func (m *member) link() *hand {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hand
}

func (m *member) attach() (*hand, error) {
	last := map[*lane]int{}
	return attach(m.net.Addr(), m.name, m.who == proved, func(e element) { m.take(e, last) })
}

// take reads what comes by itself, in order.
func (m *member) take(e element, last map[*lane]int) {
	b := m.w.book
	switch kind := e.XMLName.Local; {
	case strings.HasPrefix(e.ID, "own-"): // the answer to an older link
	case kind == "message" && e.Type == "error", kind == "iq" && (e.Type == "result" || e.Type == "error"):
		b.answered(m.who, e.ID, e.From, conditionOf(e.Inner), failedOf(e.Inner))
	case e.From == hub:
	case kind == "presence" && strings.Contains(e.Inner, "<replaced"):
		m.replaced(e)
	case kind == "presence" && e.Type == "error": // it is not kept for long
	default:
		resent := strings.Contains(e.Inner, "urn:xmpp:delay") && strings.Contains(e.Inner, "from='"+e.From+"'")
		b.came(m.who, arrival{e.ID, e.To, e.From, resent, 0}, last)
	}
}

// replaced hears that a user has moved. What comes late is no news: the sync behind the attach has told it.
func (m *member) replaced(e element) {
	if strings.Contains(e.Inner, "urn:xmpp:delay") {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.mine, e.From)
	m.doubt[e.From] = m.saying[e.From] > 0
}

var jids = regexp.MustCompile(`jid=['"]([^'"]+)['"]`)

// failedOf gives the addresses that an error tells of.
func failedOf(inner string) (all []string) {
	for _, found := range jids.FindAllStringSubmatch(inner, -1) {
		all = append(all, found[1])
	}
	return all
}

// sync says whom the member has, in one sync over all domains, and reports whether that was answered.
func (m *member) sync(h *hand) bool {
	for i, domain := range domains {
		holds := map[string]bool{}
		m.mu.Lock()
		for _, to := range targets {
			if strings.Contains(to, "@"+domain+"/") {
				holds[to] = m.mine[to]
			}
		}
		m.mu.Unlock()
		if m.state(h, domain, [...]string{" sync='start'", " sync='end'"}[i], holds) != nil {
			return false
		}
	}
	return true
}

// state says something about users of a domain, and waits for the answer.
func (m *member) state(h *hand, domain, sync string, holds map[string]bool) error {
	var items strings.Builder
	for name, there := range holds {
		if there {
			fmt.Fprintf(&items, "<announce jid='%s'/>", name)
		} else if sync == "" {
			fmt.Fprintf(&items, "<withdraw jid='%s'/>", name)
		}
	}
	m.mu.Lock()
	for name := range holds {
		m.saying[name]++
	}
	m.mu.Unlock()
	defer m.said(h, holds)
	s := m.w.table.begin(m.who, holds)
	elsewhere := map[string]bool{}
	told := func(e element) { // by the reader: what is told next comes later
		for _, name := range failedOf(e.Inner) {
			elsewhere[name] = true
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		maps.Copy(m.mine, holds)
		maps.DeleteFunc(m.mine, func(name string, there bool) bool { return !there || elsewhere[name] })
	}
	_, err := h.ask(m.w.ctx, question{"set", domain, "<sessions xmlns='urn:patchbay:sessions:1'" + sync + ">" + items.String() + "</sessions>", told})
	m.w.table.end(s, err == nil, elsewhere)
	return err
}

// said ends a statement: where there is doubt, the server is asked.
func (m *member) said(h *hand, holds map[string]bool) {
	for {
		asked := ""
		m.mu.Lock()
		for name := range holds {
			if m.doubt[name] {
				asked = name
			}
		}
		if asked == "" {
			for name := range holds {
				m.saying[name]--
			}
			m.mu.Unlock()
			return
		}
		m.doubt[asked] = false
		m.mu.Unlock()
		if found, err := m.w.where(h, asked); err == nil { // else the link has ended, and the next sync tells
			m.mu.Lock()
			if m.mine[asked] = len(found) > 0 && found[0] == m.who; !m.mine[asked] {
				delete(m.mine, asked)
			}
			m.mu.Unlock()
		}
	}
}

// say announces or withdraws a user.
func (m *member) say(name string, there bool) {
	_, domain, _ := strings.Cut(name, "@")
	domain, _, _ = strings.Cut(domain, "/")
	h := m.link()
	if h == nil {
		return
	}
	if there { // if the link ends before the answer, the next sync says it again
		m.mu.Lock()
		m.mine[name] = true
		m.mu.Unlock()
	}
	_ = m.state(h, domain, "", map[string]bool{name: there}) // the table knows that all is open
}

// send writes stanzas, and asks the server whether it has decided them.
func (m *member) send(a act) {
	h := m.link()
	if h == nil {
		return
	}
	link, kills := int(m.links.Load()), int(m.kills.Load())
	var all strings.Builder
	for range a.count {
		all.WriteString(m.stanza(a, link, kills))
	}
	at := m.w.book.written(m.who)
	if h.say("%s", all.String()) != nil {
		return
	}
	if _, err := h.ask(m.w.ctx, question{"get", hub, "<ping xmlns='urn:xmpp:ping'/>", nil}); err == nil {
		m.w.book.accepted(m.who, link, kills, at)
	}
}

// stanza gives one stanza of an act.
func (m *member) stanza(a act, link, kills int) string {
	to, b := targets[a.whom], m.w.book
	body := strings.Repeat("x", a.size)
	switch a.verb {
	case "presence":
		return fmt.Sprintf("<presence id='%s' from='%s' to='%s'/>", b.write(m.who, "presence", to, link, kills), m.name, to)
	case "ask":
		return fmt.Sprintf("<iq type='get' id='%s' from='%s' to='%s'><q xmlns='urn:example:q'/></iq>", b.write(m.who, "ask", to, link, kills), m.name, to)
	case "group":
		all, domain := several(a.whom)
		return fmt.Sprintf("<message type='chat' id='%s' from='%s' to='%s'><addresses xmlns='http://jabber.org/protocol/address'><address type='bcc' jid='%s'/></addresses><body>%s</body></message>",
			b.writeGroup(m.who, all, link, kills), m.name, domain, strings.Join(all, "'/><address type='bcc' jid='"), body)
	}
	return fmt.Sprintf("<message type='chat' id='%s' from='%s' to='%s'><body>%s</body></message>", b.write(m.who, "message", to, link, kills), m.name, to, body)
}

// several gives full addresses of one user domain, beginning with a target.
func several(whom int) (all []string, domain string) {
	for i := range 3 {
		each := 3 * usersEach
		n := (whom-len(names))/each*each + (whom-len(names)+3*i)%each
		all = append(all, targets[len(names)+n])
	}
	_, domain, _ = strings.Cut(all[0], "@")
	domain, _, _ = strings.Cut(domain, "/")
	return all, domain
}

// flush asks for the server's promise to keep what was sent.
func (m *member) flush() {
	h := m.link()
	if h == nil {
		return
	}
	link, at := int(m.links.Load()), m.w.book.written(m.who)
	if _, err := h.ask(m.w.ctx, question{"get", hub, "<flush xmlns='urn:patchbay:sessions:1'/>", nil}); err == nil {
		m.w.book.kept(m.who, link, at)
	}
}
