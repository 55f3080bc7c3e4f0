package component

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp/jid"
)

const hubDrains = "<iq type='set' id='d1' from='hub1.im.example' to='node1.im.example'><%s xmlns='urn:patchbay:sessions:1'/></iq>"

// OnDrain is told what is new, in its turn, and the notice is answered. What users send is an iq like any other.
func TestOnDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		var got []string
		cfg.OnAttach = func(*Node) { got = append(got, "attached") }
		cfg.OnDrain = func(on bool) { got = append(got, fmt.Sprint(on)) }
		cfg.Handler = Messages(func(m Message) { got = append(got, m.Body) }, nil)
		_, l := f.attached(t, cfg)
		synctest.Wait()
		tell := func(notice, want, answer string) {
			t.Helper()
			got = nil
			l.write(chat("bob@im.example/web", "alice@im.example/phone", "", "a") + notice + chat("bob@im.example/web", "alice@im.example/phone", "", "b"))
			if s := l.next(t); s.attr("type") != answer || s.attr("id") != "d1" {
				t.Errorf("answered by %+v %s", s.start, s.inner)
			}
			synctest.Wait()
			if s := strings.Join(got, " "); s != want {
				t.Errorf("%s: %q, want %q", notice, s, want)
			}
		}
		drain, undrain := fmt.Sprintf(hubDrains, "drain"), fmt.Sprintf(hubDrains, "undrain")
		tell(undrain, "a b", "result")
		tell(strings.Replace(drain, "hub1.im.example", "eve@im.example/x", 1), "a b", "error")
		tell(strings.Replace(drain, "hub1.im.example", "im.example/x", 1), "a b", "error")
		tell(strings.Replace(drain, "sessions:1", "sessions:2", 1), "a b", "error")
		tell(strings.Replace(drain, "type='set'", "type='get'", 1), "a b", "error")
		tell(drain, "a true b", "result")
		tell(drain, "a b", "result")
		tell(undrain, "a false b", "result")
		tell(drain, "a true b", "result")

		// Another stream is not drained, unless its server says so; which it does first of all.
		for _, c := range []struct{ greet, want string }{{drain, "attached"}, {"", "false attached"}, {drain, "true attached"}} {
			f.greet = c.greet
			got = nil
			l.conn.Close()
			l = <-f.links
			for range strings.Count(c.greet, "<iq ") + 1 { // the answer, and the restating
				if s := l.next(t); s.attr("id") != "d1" {
					l.accept(s, "<sessions xmlns='urn:patchbay:sessions:1'/>")
				}
			}
			synctest.Wait()
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("behind %q: %q, want %q", c.greet, s, c.want)
			}
		}
	})
}

// OnDrain may withdraw sessions, and wait for it.
func TestOnDrainWithdraws(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		var n *Node
		var done error = context.Canceled
		cfg.OnAttach = func(a *Node) { n = a }
		cfg.OnDrain = func(bool) { done = n.Withdraw(t.Context(), jid.MustParse("alice@im.example/phone")) }
		_, l := f.attached(t, cfg)
		l.write(fmt.Sprintf(hubDrains, "drain"))
		if s := l.next(t); s.attr("type") != "result" {
			t.Errorf("answered by %+v", s.start)
		}
		s := l.next(t)
		contains(t, s.inner, "<withdraw")
		l.accept(s, "<sessions xmlns='urn:patchbay:sessions:1'/>")
		synctest.Wait()
		if done != nil {
			t.Error(done)
		}
	})
}
