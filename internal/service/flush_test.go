package service

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
