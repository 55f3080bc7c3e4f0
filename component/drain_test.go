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

// OnDrain is told what is new, and the notice is answered. What users send is an iq like any other.
func TestOnDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		var got, told []string
		cfg.OnAttach = func(*Node) { got = append(got, "attached") }
		cfg.OnDrain = func(on bool) { told = append(told, fmt.Sprint(on)) }
		cfg.Handler = Messages(func(m Message) { got = append(got, m.Body) }, nil)
		_, l := f.attached(t, cfg)
		synctest.Wait()
		tell := func(notice, want, answer string) {
			t.Helper()
			got, told = nil, nil
			l.write(chat("bob@im.example/web", "alice@im.example/phone", "", "a") + notice + chat("bob@im.example/web", "alice@im.example/phone", "", "b"))
			if s := l.next(t); s.attr("type") != answer || s.attr("id") != "d1" {
				t.Errorf("answered by %+v %s", s.start, s.inner)
			}
			synctest.Wait()
			if s := strings.Join(told, " "); s != want || strings.Join(got, " ") != "a b" {
				t.Errorf("%s: %q, want %q; handled: %q", notice, s, want, got)
			}
		}
		drain, undrain := fmt.Sprintf(hubDrains, "drain"), fmt.Sprintf(hubDrains, "undrain")
		tell(undrain, "", "result")
		tell(strings.Replace(drain, "hub1.im.example", "eve@im.example/x", 1), "", "error")
		tell(strings.Replace(drain, "hub1.im.example", "eve@im.example", 1), "", "error")
		tell(strings.Replace(drain, "hub1.im.example", "im.example/x", 1), "", "error")
		tell(strings.Replace(drain, "to='node1.im.example'", "to='alice@im.example/phone'", 1), "", "error")
		tell(strings.Replace(drain, "sessions:1", "sessions:2", 1), "", "error")
		tell(strings.Replace(drain, "type='set'", "type='get'", 1), "", "error")
		tell(drain, "true", "result")
		tell(drain, "", "result")
		tell(undrain, "false", "result")
		tell(drain, "true", "result")

		// Another stream is not drained, unless its server says so; which it does first of all.
		for _, c := range []struct{ greet, want string }{{drain, ""}, {"", "false"}, {drain, "true"}} {
			f.greet = c.greet
			got, told = nil, nil
			l.conn.Close()
			l = <-f.links
			for range strings.Count(c.greet, "<iq ") + 1 { // the answer, and the restating
				if s := l.next(t); s.attr("id") != "d1" {
					l.accept(s, "<sessions xmlns='urn:patchbay:sessions:1'/>")
				}
			}
			synctest.Wait()
			if s := strings.Join(told, " "); s != c.want || len(got) != 1 {
				t.Errorf("behind %q: %q, want %q; %q", c.greet, s, c.want, got)
			}
		}
	})
}

// OnDrain may withdraw sessions, and wait for it, while stanzas are handled.
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
		l.write("<iq type='get' id='p' from='hub1.im.example' to='node1.im.example'><ping xmlns='urn:xmpp:ping'/></iq>")
		if s := l.next(t); s.attr("id") != "p" {
			t.Errorf("said %+v", s.start)
		}
		l.accept(s, "<sessions xmlns='urn:patchbay:sessions:1'/>")
		synctest.Wait()
		if done != nil {
			t.Error(done)
		}
	})
}
