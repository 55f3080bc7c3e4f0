package service

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
)

func (tb *testbed) flushes(node, id, to, kind string) {
	tb.t.Helper()
	if err := tb.send(node, fmt.Sprintf("<iq type='%s' id='%s' to='%s'><flush xmlns='%s'/></iq>", kind, id, to, stanza.NSSessions)); err != nil {
		tb.t.Fatal(err)
	}
}

// results gives the ids of the results a node has been written, and the conditions of errors.
func (tb *testbed) results(node string) string {
	synctest.Wait()
	var all []string
	tb.each(node, func(h *stanza.Header) {
		one := string(h.In(h.ID.Value))
		if h.Type == stanza.TypeError {
			_, rest, _ := strings.Cut(string(h.Raw), "><")
			_, rest, _ = strings.Cut(rest, "><")
			one += ":" + rest[:strings.IndexByte(rest, ' ')]
		}
		all = append(all, one)
	})
	return strings.Join(all, " ")
}

// A flush is answered when all before it has been handed on, and not before; the flushes of a link in their order.
func TestFlush(t *testing.T) {
	bubble(t, func(tb *testbed) {
		say := func(id string) {
			if err := tb.send("n1", "<message from='n1' to='n2' id='"+id+"'/>"); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(node, want string) {
			t.Helper()
			if got := tb.results(node); got != want {
				t.Errorf("%s got %q, want %q", node, got, want)
			}
		}
		tb.flushes("n1", "f1", "hub", "get")
		time.Sleep(100 * time.Millisecond)
		expect("n1", "f1")
		say("m1")
		tb.flushes("n1", "f2", "im", "get")
		time.Sleep(100 * time.Millisecond)
		expect("n1", "f2")
		tb.wires["n2"].stick()
		say("m2")
		tb.flushes("n1", "f3", "hub", "get")
		say("m3")
		tb.flushes("n1", "f4", "hub", "get")
		tb.flushes("shy", "f5", "hub", "get")
		time.Sleep(5 * time.Second)
		expect("n1", "")
		expect("shy", "f5")
		tb.wires["n2"].goOn()
		time.Sleep(100 * time.Millisecond)
		expect("n1", "f3 f4")
		expect("n2", "m1 m2 m3")
		tb.flushes("n1", "f6", "hub", "set")
		expect("n1", "f6:bad-request")
		tb.flushes("n1", "f7", "hub", "get") // nothing is open
		expect("n1", "f7")
	})
}

// So many may wait and no more, and a link that ends is not answered, nor the next one of its node.
func TestFlushes(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.wires["n2"].stick()
		if err := tb.send("n1", "<message from='n1' to='n2' id='m'/>"); err != nil {
			t.Fatal(err)
		}
		for i := range 65 {
			tb.flushes("n1", fmt.Sprint(i), "hub", "get")
		}
		if got := tb.results("n1"); got != "64:resource-constraint" {
			t.Errorf("got %s", got)
		}
		tb.detach("n1")
		tb.attach("n1")
		tb.wires["n2"].goOn()
		time.Sleep(time.Second)
		if got := tb.results("n1"); got != "" {
			t.Errorf("the next link got %s", got)
		}
		tb.flushes("n1", "f", "hub", "get")
		time.Sleep(100 * time.Millisecond)
		if got := tb.results("n1"); got != "f" {
			t.Errorf("got %s", got)
		}
	})
}

// goesOn attaches n1 by a link that can be resumed, or resumes it.
func (tb *testbed) goesOn(resume bool) error {
	tb.t.Helper()
	sc := stanza.NewScanner(stanza.Limits{})
	if _, _, err := sc.Next([]byte(header), &stanza.Header{}); err != nil {
		tb.t.Fatal(err)
	}
	w, grant := &wire{}, &routing.Grant{Users: []string{"im"}, TakeOver: true}
	var src *routing.Source
	var err error
	if resume {
		if src, err = tb.router.Resume("n1", grant, sc, "id1", 0); err == nil {
			err = src.StartResumed(w)
		}
	} else if src, err = tb.router.Attach("n1", grant, sc); err == nil {
		err = src.StartAcked(w, "id1", nil)
	}
	if err == nil {
		tb.srcs["n1"], tb.wires["n1"] = src, w
	}
	return err
}

// answered gives the flushes that n1 was answered.
func (tb *testbed) answered() string {
	synctest.Wait()
	var all []string
	tb.each("n1", func(h *stanza.Header) {
		if h.Type == stanza.TypeResult {
			all = append(all, string(h.In(h.ID.Value)))
		}
	})
	return strings.Join(all, " ")
}

// What a link has not been answered when it drops is answered on the one that goes on with it, once and in order; on one that does
// not, nothing is.
func TestFlushResumed(t *testing.T) {
	for _, c := range []struct {
		name    string
		away    time.Duration // before it comes back
		after   time.Duration // from the drop until what was sent before is in custody
		resumed bool
	}{
		{"in custody before it is back", 2 * time.Second, time.Second, true},
		{"in custody while it comes back", time.Second, 2 * time.Second, true},
		{"in custody too late", time.Second, 10 * time.Second, false},
		{"in custody long before it is back", 25 * time.Second, time.Second, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(tb *testbed) {
				tb.detach("n1")
				if err := tb.goesOn(false); err != nil {
					t.Fatal(err)
				}
				tb.wires["n2"].stick()
				for _, id := range []string{"f1", "f2"} {
					if err := tb.send("n1", "<message from='n1' to='n2' id='m"+id+"'/>"); err != nil {
						t.Fatal(err)
					}
					tb.flushes("n1", id, "hub", "get")
				}
				time.Sleep(100 * time.Millisecond)
				tb.detach("n1")
				time.AfterFunc(c.after, tb.wires["n2"].goOn)
				time.Sleep(c.away)
				if err := tb.goesOn(true); (err == nil) != c.resumed {
					t.Fatalf("resumed: %v", err)
				}
				want := "f1 f2"
				if !c.resumed {
					want = ""
					if err := tb.goesOn(false); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(15 * time.Second)
				if got := tb.answered(); got != want {
					t.Errorf("answered %q, want %q", got, want)
				}
			})
		})
	}
}
