package routing

import (
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/patchbay-im/patchbay/stanza"
)

// xmlNode is an element as encoding/xml sees it: the judge of what the router writes.
type xmlNode struct {
	XMLName xml.Name
	Attrs   []xml.Attr `xml:",any,attr"`
	Nodes   []xmlNode  `xml:",any"`
	Text    string     `xml:",chardata"`
}

func (n *xmlNode) attr(name string) (value string, ok bool) {
	for _, a := range n.Attrs {
		if a.Name.Space == "" && a.Name.Local == name {
			return a.Value, true
		}
	}
	return "", false
}

func (n *xmlNode) value(name string) string {
	value, _ := n.attr(name)
	return value
}

// lists gives the addresses elements of a stanza, and addresses those of one.
func (n *xmlNode) lists() (found []xmlNode) {
	for _, c := range n.Nodes {
		if c.XMLName == (xml.Name{Space: stanza.NSAddress, Local: "addresses"}) {
			found = append(found, c)
		}
	}
	return found
}

func (n *xmlNode) addresses() (found []xmlNode) {
	for _, c := range n.Nodes {
		if c.XMLName == (xml.Name{Space: stanza.NSAddress, Local: "address"}) {
			found = append(found, c)
		}
	}
	return found
}

// rest shows what is in a stanza besides its addresses.
func (n *xmlNode) rest() string {
	var b strings.Builder
	for _, c := range n.Nodes {
		if c.XMLName.Local != "addresses" || c.XMLName.Space != stanza.NSAddress {
			fmt.Fprintf(&b, "%+v", c)
		}
	}
	return b.String() + n.Text
}

// readStanzas reads what a link was written.
func readStanzas(t rapid.TB, raw []byte) []xmlNode {
	t.Helper()
	var root xmlNode
	if err := xml.Unmarshal([]byte(rootTag+string(raw)+"</stream:stream>"), &root); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return slices.DeleteFunc(root.Nodes, func(n xmlNode) bool { return strings.HasPrefix(n.value("id"), "pb-") })
}

func (tb *testbed) taken(node string) []byte {
	w := tb.wires[node]
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.got
	w.got = nil
	return got
}

// takesMany makes the router believe that a node takes one stanza for several users.
func (tb *testbed) takesMany(node string) { tb.srcs[node].node.multicast.Store(true) }

// endless is a test without the deadline that rapid asks for: there is none on the clock of a bubble.
type endless struct{ rapid.TB }

// Each address of a message has one end, wherever its user is: with the nodes that are here, with those that come back,
// or in an error.
func TestFanAmounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(endless{t}, func(rt *rapid.T) {
			before := newTestbed(t, nil)
			before.r.Returning()
			before.attach("unsettled")
			before.login("unsettled", "x@im/1")
			before.detach("unsettled")
			before.r.Close()
			f := &fanModel{t: rt, testbed: newTestbed(t, before.sessions), ends: map[string]int{}}
			defer f.close()
			f.run()
		})
	})
}

// fanModel is what the test knows: for each address how often it was sent to, and how many ends that had.
type fanModel struct {
	t *rapid.T
	*testbed
	sent, ends map[string]int
}

func (f *fanModel) run() {
	f.r.Returning() // while a node of before may come back, who is nowhere is unknown
	for _, n := range []string{"s", "many", "plain", "away", "back", "full"} {
		f.attach(n)
		f.login(n, n+"@im/1")
		f.login(n, n+"2@im/1")
	}
	f.takesMany("many")
	f.takesMany("away")
	f.takesMany("back")
	f.takesMany("full")
	synctest.Wait()
	f.wires["full"].room = rapid.SampledFrom([]int{0, 2000, 1 << 20}).Draw(f.t, "room")
	for _, n := range []string{"away", "back"} {
		f.collect(n)
		f.detach(n)
	}
	if rapid.Bool().Draw(f.t, "settled") {
		time.Sleep(testSettle)
	}
	f.sent = map[string]int{}
	for range rapid.IntRange(1, 3).Draw(f.t, "messages") {
		f.send(f.message())
	}
	time.Sleep(time.Second)
	f.attach("back")
	f.takesMany("back")
	f.wires["full"].give(1 << 20)
	time.Sleep(2*testGrace + testSettle)
	for n := range maps.Clone(f.wires) {
		f.collect(n)
	}
	if !maps.Equal(f.sent, f.ends) {
		f.t.Fatalf("sent to %v, ends %v", f.sent, f.ends)
	}
}

// send is that of the testbed, from s.
func (f *fanModel) send(raw string) { f.testbed.send("s", raw) }

// message draws a message for many.
func (f *fanModel) message() string {
	var b strings.Builder
	users := []string{"many@im", "many2@im/1", "plain@im", "plain2@im", "away@im", "away2@im/1", "back@im", "back2@im", "full@im",
		"full2@im/1", "nobody@im", "nobody@im/1", "@", "im", "hub", "plain", "elsewhere"}
	for range rapid.IntRange(1, 20).Draw(f.t, "addresses") {
		jid := rapid.SampledFrom(users).Draw(f.t, "jid")
		kind := rapid.SampledFrom([]string{"to", "cc", "bcc", "replyto"}).Draw(f.t, "type")
		fmt.Fprintf(&b, "<address type='%s' jid='%s'/>", kind, jid)
		if kind != "replyto" {
			f.sent[jid]++
		}
	}
	pad := strings.Repeat("x", rapid.SampledFrom([]int{0, 3000}).Draw(f.t, "size"))
	return "<message type='chat' from='s' to='im' id='m'><addresses " + addressNS + ">" + b.String() + "</addresses><body>" + pad + "</body></message>"
}

// collect counts what a node was written.
func (f *fanModel) collect(node string) {
	synctest.Wait()
	for _, st := range readStanzas(f.t, f.taken(node)) {
		switch {
		case f.sent == nil:
		case st.value("type") != "error" && st.value("to") != node:
			f.ends[st.value("to")]++
		case len(st.lists()) == 1: // a stanza for many, or an error about some
			for _, a := range st.lists()[0].addresses() {
				if a.value("delivered") == "" && a.value("type") != "replyto" {
					f.ends[a.value("jid")]++
				}
			}
			if st.value("to") == "plain" {
				f.ends["plain"]++
			}
		case st.value("type") == "error":
			f.ends[st.value("from")]++
		}
	}
}
