package routing

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// passed shows what a tap has: "m1:deliver>n2,n3 m2:bounce/no-route +3".
func passed(tap *Tap) string {
	var words []string
	for len(tap.C()) > 0 {
		p := <-tap.C()
		word := p.ID + ":" + p.Action
		if p.Reason != None {
			word += "/" + p.Reason.String()
		}
		if len(p.Targets) > 0 {
			word += ">" + strings.Join(p.Targets, ",")
		}
		if p.Lost > 0 {
			word += fmt.Sprint("+", p.Lost)
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// A tap shows what it asks for, with what became of it.
func TestTap(t *testing.T) {
	bubble(t, func(tb *testbed) {
		for _, n := range []string{"n1", "n2", "n3"} {
			tb.attach(n)
		}
		tb.login("n1", "alice@im/1")
		tb.login("n2", "bob@im/1")
		tb.login("n3", "bob@im/2")
		want := map[TapFilter]string{
			{}:                     "m1:deliver>n2,n3 m2:deliver>n3 m3:bounce/no-session m4:bounce/not-served m5:deliver>n2",
			{Match: "bob@im"}:      "m1:deliver>n2,n3 m2:deliver>n3",
			{Match: "bob@im/2"}:    "m2:deliver>n3",
			{Match: "n2"}:          "m1:deliver>n2,n3 m5:deliver>n2",
			{Match: "im"}:          "m1:deliver>n2,n3 m2:deliver>n3 m3:bounce/no-session",
			{Match: "ALICE@im"}:    "m1:deliver>n2,n3",
			{Match: "@im"}:         "",
			{Match: "alice@im/no"}: "",
		}
		for f, passes := range want {
			tap := tb.r.Tap(f)
			tb.send("n1", "CHAT from='alice@im/1' to='bob@im' id='m1'/>CHAT from='n1' to='bob@im/2' id='m2'/>CHAT from='n1' to='zoe@im' id='m3'/>"+
				"CHAT from='n1' to='hub' id='m4'/>CHAT from='n1' to='x@n2' id='m5'/>")
			if got := passed(tap); got != passes {
				t.Errorf("%q: %s, want %s", f.Match, got, passes)
			}
			tap.Close()
			tap.Close()
			if _, open := <-tap.C(); open {
				t.Errorf("%q: it goes on", f.Match)
			}
		}
		if tb.r.taps.Load() != nil {
			t.Error("a tap is left")
		}
		tb.got("n1")
	})
}

// What ends a link, waits, or is refused by a queue is shown as that.
func TestTapEnds(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("n1")
		tb.attach("n2")
		tb.attach("n3")
		tb.login("n2", "bob@im/1")
		tb.login("n3", "bob@im/2")
		tap := tb.r.Tap(TapFilter{})
		defer tap.Close()
		tb.wires["n2"].room = 0
		tb.send("n1", "CHAT from='n1' to='n2' id='m1'><body>"+strings.Repeat("x", 9_900)+"</body></message>CHAT from='n1' to='n2' id='m2'/>"+
			"CHAT from='n1' to='bob@im' id='m3'/><iq type='result' from='n1' to='n3' id='q1'/><iq type='get' from='n1' to='n3' id='q2'><x xmlns='y'/></iq>")
		tb.send("n3", "<iq type='result' to='n1' id='q2'/><iq type='result' to='hub' id='q3'/>")
		tb.r.holds.expect("bob@im", tb.r.holds.idle)
		tb.send("n1", "CHAT from='n1' to='bob@im' id='m4'/>")
		tb.r.holds.announced("bob@im", nil)
		tb.r.holds.quit("bob@im")
		tb.r.release([]string{"bob@im"})
		if _, err := tb.srcs["n1"].Feed([]byte("<message from='zoe@im/1' to='n2' id='m5'/>")); err == nil {
			t.Error("zoe has no session")
		}
		synctest.Wait()
		want := "m1:deliver>n2 m2:bounce/queue-full m3:deliver/queue-full>n2,n3 q1:drop/late-reply q2:deliver>n3 q2:deliver>n1 q3:serve m4:hold m5:end-link/invalid-from"
		if got := passed(tap); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

// A tap shows strings of its own, the whole stanza if that is asked for, and says how much it has not shown. There are at
// most four.
func TestTapBounds(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("n1")
		tb.attach("n2")
		bodies, heads := tb.r.Tap(TapFilter{Body: true}), tb.r.Tap(TapFilter{})
		for range 2 {
			defer tb.r.Tap(TapFilter{}).Close()
		}
		if tb.r.Tap(TapFilter{}) != nil {
			t.Error("a fifth tap")
		}
		raw := []byte("<message type='chat' from='n1' to='X@n2' id='m&amp;1'><body>hi</body></message>")
		sent := string(raw)
		if _, err := tb.srcs["n1"].Feed(raw); err != nil {
			t.Fatal(err)
		}
		for i := range raw {
			raw[i] = '?'
		}
		p := <-bodies.C()
		if string(p.XML) != sent || p.Node != "n1" || p.Kind != "message" || p.Type != "chat" || p.ID != "m&1" || p.From != "n1" || p.To != "x@n2" ||
			p.Bytes != len(sent) || p.Targets[0] != "n2" || !p.Time.Equal(time.Now()) {
			t.Errorf("%+v %s", p, p.XML)
		}
		if p := <-heads.C(); p.XML != nil {
			t.Errorf("%s", p.XML)
		}
		for i := range tapBodies + 7 {
			tb.send("n1", fmt.Sprintf("<presence from='n1' to='n2' id='p%d'/>", i))
		}
		for i := range tapBodies {
			if p := <-bodies.C(); p.ID != fmt.Sprint("p", i) || p.Lost != 0 {
				t.Errorf("%d: %+v", i, p)
			}
		}
		tb.send("n1", "<presence from='n1' to='n2' id='last'/>")
		if p := <-bodies.C(); p.ID != "last" || p.Lost != 7 {
			t.Errorf("%+v", p)
		}
		bodies.Close()
		heads.Close()
		tb.r.Tap(TapFilter{}).Close()
	})
}

// Whoever opens and closes taps does not disturb those who send.
func TestTapRace(t *testing.T) {
	bubble(t, func(tb *testbed) {
		for _, n := range []string{"n1", "n2", "n3"} {
			tb.attach(n)
		}
		done := make(chan struct{})
		for range 3 {
			go func() {
				defer func() { done <- struct{}{} }()
				for range 200 {
					if tap := tb.r.Tap(TapFilter{Match: "n3"}); tap != nil {
						go tap.Close()
						for range tap.C() {
						}
					}
				}
			}()
		}
		for _, n := range []string{"n1", "n2"} {
			src := tb.srcs[n]
			go func() {
				defer func() { done <- struct{}{} }()
				for range 500 {
					_, _ = src.Feed([]byte("<message from='" + src.node.Domain + "' to='n3'/>"))
				}
			}()
		}
		for range 5 {
			<-done
		}
		if l := tb.r.Ledger(); l.Written != 1000 || tb.r.taps.Load() != nil {
			t.Errorf("%+v", l)
		}
	})
}
