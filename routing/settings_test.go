package routing

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// change applies settings that differ from those that count.
func (tb *testbed) change(f func(set *Settings)) {
	tb.t.Helper()
	set := *tb.r.set()
	f(&set)
	if err := tb.r.Apply(set); err != nil {
		tb.t.Fatal(err)
	}
}

// A user domain comes and goes: what is sent to it before and after is decided as the settings of that moment say.
func TestApplyUsers(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("n1")
		tb.send("n1", "CHAT from='n1' to='bob@vip' id='m1'/>")
		tb.expect("n1", "m1:remote-server-not-found")
		tb.change(func(set *Settings) { set.Users = append([]UserDomain{{Name: "vip"}}, set.Users...) })
		tb.send("n1", "CHAT from='n1' to='bob@vip' id='m2'/>")
		tb.expect("n1", "m2:service-unavailable")
		if !tb.r.IsOurs("vip") {
			t.Error("a node could take the user domain")
		}
		tb.change(func(set *Settings) { set.Users[0].Offline = PolicyDiscard })
		tb.send("n1", "CHAT from='n1' to='bob@vip' id='m3'/>")
		tb.expect("n1", "")
		tb.change(func(set *Settings) { set.Users = set.Users[1:] })
		tb.send("n1", "CHAT from='n1' to='bob@vip' id='m4'/>")
		tb.expect("n1", "m4:remote-server-not-found")
		if tb.r.IsOurs("vip") {
			t.Error("a domain that nobody has is still ours")
		}
		tb.attach("vip")
		tb.send("n1", "CHAT from='n1' to='vip' id='m5'/>")
		tb.expect("vip", "m5")
	})
}

// A name that only the file knows is forgotten with it; one that was attached is not.
func TestApplyKnown(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("n1")
		tb.attach("n2")
		tb.detach("n2")
		time.Sleep(testGrace + time.Second)
		told := func(want string) {
			t.Helper()
			var words []string
			for _, f := range tb.r.Facts() {
				words = append(words, f.Domain+" "+f.Word())
			}
			if got := strings.Join(words, ", "); got != want {
				t.Errorf("nodes are %s, want %s", got, want)
			}
		}
		told("exact never seen, n1 attached, n2 gone")
		tb.change(func(set *Settings) { set.Known = []string{"n2", "other"} })
		told("n1 attached, n2 gone, other never seen")
		tb.send("n1", "CHAT from='n1' to='exact' id='m1'/>CHAT from='n1' to='other' id='m2'/>CHAT from='n1' to='n2' id='m3'/>")
		tb.expect("n1", "m1:remote-server-not-found m2:remote-server-timeout m3:remote-server-timeout")
		tb.change(func(set *Settings) { set.Known = nil })
		told("n1 attached, n2 gone")
		tb.send("n1", "CHAT from='n1' to='other' id='m4'/>CHAT from='n1' to='n2' id='m5'/>")
		tb.expect("n1", "m4:remote-server-not-found m5:remote-server-timeout")
	})
}

// Limits count for the next bytes of a link that is there already, and for what waits.
func TestApplyLimits(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("n1")
		tb.attach("n2")
		tb.detach("n2")
		body := strings.Repeat("x", 3000)
		fill := func(id string) {
			tb.send("n1", "CHAT from='n1' to='n2' id='"+id+"'><body>"+body+"</body></message>")
		}
		for _, id := range []string{"a", "b", "c", "d"} {
			fill(id)
		}
		tb.expect("n1", "d:resource-constraint")
		tb.change(func(set *Settings) { set.Queue = 14_000 })
		fill("e")
		fill("f")
		tb.expect("n1", "f:resource-constraint")
		tb.change(func(set *Settings) { set.Queue = 1000 })
		fill("g")
		tb.expect("n1", "g:resource-constraint")
		tb.attach("n2")
		tb.expect("n2", "a b c e") // what waited stays
		tb.change(func(set *Settings) { set.Queue, set.Limits.Stanza = 100_000, 10_000 })
		tb.send("n1", "CHAT from='n1' to='n2' id='h'><body>"+body+"</body></message>")
		tb.expect("n2", "h")
		_, err := tb.srcs["n1"].Feed([]byte("<message to='n2' id='i'><body>" + strings.Repeat("x", 11_000)))
		var se *stanza.StreamError
		if !errors.As(err, &se) || se.Condition != "policy-violation" {
			t.Errorf("got %v, want <policy-violation/>", err)
		}
	})
}

// What is stored was within the limits when it came: lower ones do not make it unreadable.
func TestApplyBelowWhatWaits(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("n1")
		tb.attach("n2")
		tb.attach("n3")
		tb.login("n2", "bob@im/1")
		tb.detach("n2")
		tb.send("n1", "CHAT from='n1' to='bob@im' id='m1'><body>"+strings.Repeat("x", 9_000)+"</body></message>")
		tb.change(func(set *Settings) { set.Limits.Stanza, set.Limits.Depth = 1000, 1 })
		tb.login("n3", "bob@im/2")
		time.Sleep(testGrace + time.Second)
		tb.expect("n3", "m1")
	})
}

// What is held for users of a domain that is none of theirs any more is decided at once.
func TestApplyHeld(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("n1")
		tb.r.complete.Store(false)
		tb.change(func(set *Settings) { set.Users = append([]UserDomain{{Name: "vip"}}, set.Users...) })
		tb.send("n1", "CHAT from='n1' to='bob@vip' id='m1'/>CHAT from='n1' to='bob@im' id='m2'/>")
		tb.expect("n1", "")
		tb.change(func(set *Settings) { set.Users = set.Users[1:] })
		tb.expect("n1", "m1:remote-server-not-found")
		time.Sleep(testSettle + time.Second)
		tb.expect("n1", "m2:remote-server-timeout")
	})
}

// A policy that stores needs a store; nothing changes without one.
func TestApplyNoStore(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("n1")
		set := *tb.r.set()
		set.Grace, set.Users = time.Hour, []UserDomain{{Name: "im", Offline: PolicyStore}}
		if err := tb.r.Apply(set); !errors.Is(err, ErrNoStore) || tb.r.set().Grace != testGrace {
			t.Errorf("got %v and a grace of %s", err, tb.r.set().Grace)
		}
		tb.send("n1", "CHAT from='n1' to='bob@im' id='m1'/>")
		tb.expect("n1", "m1:service-unavailable")
	})
}

// A shorter grant ends the sessions that it does not cover, and no others; the link stays.
func TestRegrant(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.change(func(set *Settings) { set.Users = append([]UserDomain{{Name: "vip"}}, set.Users...) })
		src := tb.attach("n1")
		tb.srcs["n1"].Regrant(&Grant{Users: []string{"im", "vip"}})
		for i := range 1500 {
			tb.login("n1", "u"+strconv.Itoa(i)+"@vip/a")
		}
		tb.login("n1", "alice@im/1")
		if n := src.Regrant(&Grant{Users: []string{"im"}}); n != 1500 {
			t.Errorf("%d sessions ended, want 1500", n)
		}
		tb.send("n1", "CHAT from='alice@im/1' to='alice@im/1' id='m1'/>CHAT from='alice@im/1' to='u7@vip' id='m2'/>")
		tb.expect("n1", "m1 m2:service-unavailable")
		ended := tb.sessions.Ended([]byte("u7@vip"))
		if len(ended) == 0 || ended[0].Why != storage.Kicked {
			t.Errorf("remembered: %+v", ended)
		}
		if _, err := src.Feed([]byte("<message from='u7@vip/a' to='im'/>")); err == nil || !strings.Contains(err.Error(), "invalid-from") {
			t.Errorf("got %v, want <invalid-from/>", err)
		}
	})
}

// A drained node stays drained over a new link, and the table says so.
func TestDraining(t *testing.T) {
	bubble(t, func(tb *testbed) {
		src := tb.attach("n1")
		state := func() storage.NodeState {
			rec, _ := tb.sessions.NodeByDomain("n1")
			return rec.State
		}
		n := tb.r.Node("n1")
		n.SetDraining(tb.r, true)
		if src.TakesSessions() || state() != storage.Draining {
			t.Error("it is not drained")
		}
		tb.detach("n1")
		if state() != storage.Away {
			t.Errorf("it is %s without a link", state())
		}
		src = tb.attach("n1")
		if src.TakesSessions() || state() != storage.Draining {
			t.Error("a new link made it take sessions")
		}
		n.SetDraining(tb.r, false)
		if !src.TakesSessions() || state() != storage.Up {
			t.Error("it is still drained")
		}
		tb.r.SetDraining(true)
		if src.TakesSessions() {
			t.Error("the drained server takes sessions")
		}
		tb.r.SetDraining(false)
		synctest.Wait()
	})
}

// A shorter settle time counts at once, also behind what is held for longer; and when a stanza came stays known.
func TestApplySettle(t *testing.T) {
	storeBed(t, func(tb *testbed) {
		tb.attach("n1")
		tb.r.complete.Store(false)
		tb.change(func(set *Settings) { set.Settle = time.Minute })
		tb.send("n1", "CHAT from='n1' to='bob@im' id='m1'/>")
		tb.change(func(set *Settings) { set.Settle = time.Second })
		tb.send("n1", "CHAT from='n1' to='carol@im' id='m2'/>")
		came := time.Now()
		time.Sleep(2 * time.Second)
		stored := func(bare string) []storage.Stored {
			list, err := tb.r.mail.store.Read([]byte(bare), 0, 10)
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		if n := len(stored("carol@im")); n != 1 {
			t.Errorf("%d are stored after the new settle time, want 1", n)
		}
		if n := len(stored("bob@im")); n != 0 {
			t.Errorf("%d are stored before the old settle time, want none", n)
		}
		time.Sleep(time.Minute)
		list := stored("bob@im")
		if stamp := "stamp='" + came.UTC().Format("2006-01-02T15:04:05"); len(list) != 1 || !strings.Contains(string(list[0].Raw), stamp) {
			t.Errorf("got %+v, want %s", list, stamp)
		}
		for _, u := range []string{"bob@im", "carol@im"} {
			tb.login("n1", u+"/1")
		}
	})
}

// What is stored for a domain that is taken out of the configuration is kept for the general age, and its sender is told.
func TestAgedWithoutDomain(t *testing.T) {
	mailBubble(t, func(c *Config) { c.Users[0].Keep.Age, c.Age = time.Hour, 10*time.Minute }, func(tb *mailbed) {
		tb.attach("s")
		tb.chat("m1")
		synctest.Wait()
		set := *tb.r.set()
		set.Users = nil
		if err := tb.r.Apply(set); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Minute)
		tb.expect("s", "")
		time.Sleep(2 * time.Minute)
		tb.expect("s", "m1:service-unavailable")
	})
}
