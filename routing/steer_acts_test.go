package routing

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// reload brings all in line with what the configuration is now, as the server does.
func (m *steerModel) reload() {
	m.must(m.r.Apply(m.set))
	for node, links := range m.links {
		for i := len(links) - 1; i >= 0; i-- {
			src, g := links[i].src, m.grants[node]
			switch {
			case g == nil:
			case m.r.IsOurs(node) || src.Place() >= max(1, g.Instances):
				m.drop(node, i)
			case g != src.Grant():
				src.Regrant(g)
			}
		}
	}
}

// act draws something that an operator or a node does, and gives it.
func (m *steerModel) act(t *rapid.T) func() {
	node := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "node")
	user := rapid.SampledFrom([]string{"bob@im/x", "carol@im/x", "dave@vip/x"}).Draw(t, "user")
	act := rapid.SampledFrom([]string{"login", "login", "login", "logout", "detach", "attach", "users", "policy", "limits", "grant", "instances", "push", "push", "drain", "kick"}).Draw(t, "act")
	m.log = append(m.log, act+" "+node+" "+user)
	switch act {
	case "login":
		return func() { m.login(node, user) }
	case "logout":
		return func() {
			for _, l := range m.links[node] {
				withdrawFrom(m.r, l.src, user)
			}
		}
	case "detach":
		return func() {
			if len(m.links[node]) > 0 {
				m.drop(node, 0)
			}
		}
	case "attach":
		return func() { m.attach(node) }
	case "push":
		keep := rapid.IntRange(0, 3).Draw(t, "links")
		return func() {
			for len(m.links["push"]) > keep {
				m.drop("push", 0)
			}
			for range keep {
				m.attach("push")
			}
		}
	case "drain":
		on := rapid.Bool().Draw(t, "on")
		return func() { m.r.Node(node).SetDraining(m.r, on) }
	case "kick":
		return func() { m.kick(user) }
	}
	return m.change(t, act, node)
}

// change draws another configuration, and gives its reload.
func (m *steerModel) change(t *rapid.T, what, node string) func() {
	switch what {
	case "users":
		return m.users()
	case "policy":
		policy := rapid.SampledFrom([]OfflinePolicy{PolicyBounce, PolicyDiscard, PolicyStore, PolicyForward}).Draw(t, "policy")
		m.log = append(m.log, fmt.Sprint(policy))
		m.discarded = m.discarded || policy == PolicyDiscard
		return func() {
			m.set.Users = slices.Clone(m.set.Users)
			m.set.Users[0].Offline, m.set.Users[0].ForwardTo = policy, map[bool]string{true: "fwd"}[policy == PolicyForward]
			m.reload()
		}
	case "limits":
		m.set.Queue = rapid.SampledFrom([]int{1 << 20, 400}).Draw(t, "queue")
		m.set.Settle = rapid.SampledFrom([]time.Duration{testSettle, time.Second}).Draw(t, "settle")
		m.set.Known = rapid.SampledFrom([][]string{nil, {"vip", "a"}}).Draw(t, "known")
		return m.reload
	case "grant":
		g := &Grant{TakeOver: true, SpeakDomain: rapid.Bool().Draw(t, "speak")}
		for _, u := range m.set.Users {
			if rapid.IntRange(0, 3).Draw(t, "granted") > 0 {
				g.Users = append(g.Users, u.Name)
			}
		}
		return func() { m.grants[node] = g; m.reload() }
	}
	m.grants["push"] = &Grant{Instances: rapid.IntRange(1, 3).Draw(t, "instances")}
	return m.reload
}

// users makes vip a user domain, or one that a node may have.
func (m *steerModel) users() func() {
	return func() {
		if len(m.set.Users) > 1 {
			m.set.Users = m.set.Users[:1:1]
			for n, g := range m.grants {
				own := *g
				own.Users = slices.DeleteFunc(slices.Clone(g.Users), func(u string) bool { return u == "vip" })
				m.grants[n] = &own
			}
			m.reload()
			m.attach("vip")
			return
		}
		m.set.Users = append(slices.Clone(m.set.Users), UserDomain{Name: "vip", Offline: PolicyStore})
		m.reload()
	}
}

// login announces a session as the service does.
func (m *steerModel) login(node, jid string) {
	who, _, err := stanza.ParseAddress([]byte(jid), false, nil)
	m.must(err)
	if len(m.links[node]) == 0 {
		return
	}
	src := m.links[node][0].src
	was := m.sessions.Find(m.sessions.Hash(who.Bare()), who.Bare(), who.Resource(), nil)
	elsewhere := len(was) > 0 && was[0].Node != src.node.ID()
	if !src.Grant().MayAnnounce(who.Domain()) || !src.TakesSessions() && (len(was) == 0 || elsewhere) {
		return
	}
	expected := m.r.Expect(who.Bare(), src.node)
	if elsewhere {
		m.r.Moving(who.Bare())
		m.r.Move(who, m.r.table.node(was[0].Node), src.node)
	}
	b := m.sessions.Begin(src.node.ID(), src.inc, src.mark)
	change, prev, err := b.Announce(who.Bare(), who.Resource(), 0, storage.Take)
	m.must(err)
	if change == storage.Taken {
		m.r.Move(who, m.r.table.node(prev), src.node)
	}
	if elsewhere {
		m.r.Moved(who.Bare())
	}
	b.Commit(nil)
	m.r.Announced(who.Bare(), expected)
	src.Accepted()
}

// kick ends a session as the service does. While the view is not complete, or somebody sends, what waits may stay behind.
func (m *steerModel) kick(jid string) {
	who, _, err := stanza.ParseAddress([]byte(jid), false, nil)
	m.must(err)
	for _, s := range m.sessions.Where(who.Bare()) {
		n := m.r.table.node(s.Node)
		rec, _ := m.sessions.Node(s.Node)
		away := n.State() == Away
		if away {
			m.r.Moving(who.Bare())
			m.loose[string(who.Bare())] = m.loose[string(who.Bare())] || !m.r.Complete()
		}
		b := m.sessions.Begin(s.Node, rec.Inc, m.sessions.NextMark())
		if b.Kick(who.Bare(), who.Resource()); away {
			m.r.Forsake(who, n)
			m.r.Moved(who.Bare())
		}
		b.Commit(nil)
	}
}

// send draws what a source sends, and gives it.
func (m *steerModel) send(t *rapid.T) func() {
	from := rapid.SampledFrom(steerSources).Draw(t, "from")
	var all strings.Builder
	m.sending = nil
	for range rapid.IntRange(1, 5).Draw(t, "stanzas") {
		tag := rapid.SampledFrom([]string{"message type='chat'", "message type='chat'", "message", "iq type='get'"}).Draw(t, "kind")
		s := &steered{n: len(m.sent), iq: strings.HasPrefix(tag, "iq")}
		s.to = rapid.SampledFrom([]string{"bob@im", "bob@im", "carol@im/x", "carol@im", "dave@vip", "dave@vip/x", "eve@vip", "vip", "push", "x@push", "a"}).Draw(t, "to")
		id := "m" + strconv.Itoa(s.n)
		m.sent[id], m.sending = s, append(m.sending, id)
		m.log = append(m.log, id+" "+from+" "+tag+" "+s.to)
		name, _, _ := strings.Cut(tag, " ")
		fmt.Fprintf(&all, "<%s from='%s' to='%s' id='%s'><x xmlns='y'/></%s>", tag, from, s.to, id, name)
	}
	src := m.links[from][0].src
	return func() {
		if n, err := src.Feed([]byte(all.String())); err != nil || n != all.Len() {
			m.t.Errorf("took %d of %d bytes: %v", n, all.Len(), err)
		}
	}
}
