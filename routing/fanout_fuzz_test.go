package routing

import (
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/patchbay-im/patchbay/stanza"
)

// fanHomes are the nodes of the users in FuzzFanOut: many takes one stanza for several users.
var fanHomes = map[string][]string{
	"a@im": {"many"}, "b@im": {"many", "plain"}, "c@im": {"plain"}, "b@im/1": {"many"}, "b@im/2": {"plain"}, "c@im/2": {"plain"},
	"a@im/1": {"many"}, "a@im/9": {"many"}, "b@im/9": {"many", "plain"}, "c@im/9": {"plain"}, "plain": {"plain"}, "many": {"many"}, "s": {"s"},
}

// FuzzFanOut sends whatever is in a message to a user domain, and holds what comes of it against what encoding/xml sees in
// the message: who gets it, what they see, who is told of failures, and the books.
func FuzzFanOut(f *testing.F) {
	for _, s := range []string{
		"<addresses xmlns='http://jabber.org/protocol/address'><address type='to' jid='a@im'/><address type='bcc' jid='b@im'/><address type='cc' jid='c@im/2' desc='&lt;'/></addresses><body>x</body>",
		"<ad:addresses><ad:address type='bcc' jid='a@im'/>t<ad:address type='bcc' jid='c@im'><ad:address type='bcc' jid='b@im'/></ad:address></ad:addresses>",
		"<addresses xmlns='http://jabber.org/protocol/address' xmlns:p='x'><address p:type='bcc' type='to' jid='&#x61;@im'/><address type='to' uri='sip:x'/><address type='to' jid='@'/></addresses>",
		"<addresses xmlns='http://jabber.org/protocol/address'><address type='to' jid='b@im/1' delivered='true'/><address delivered = 'true' type=\"bcc\" jid='a@im'/><address type='noreply'/></addresses>",
		"<addresses xmlns='http://jabber.org/protocol/address'><![CDATA[<address type='to' jid='a@im'/>]]><address type='to' jid='a@im'><![CDATA[>]]></address><x xmlns='y'/></addresses>",
		"<addresses xmlns='http://jabber.org/protocol/address'><address type='to' jid='plain'/><address type='bcc' jid='many'/><address type='to' jid='im'/><address type='to' jid='hub'/></addresses>",
		"<addresses/><addresses xmlns='http://jabber.org/protocol/address'/>",
		"<ad:addresses xmlns:ad='y'><ad:address type='to' jid='a@im'/></ad:addresses><ad:addresses><ad:address type='to' jid='c@im'/></ad:addresses>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		raw := "<message type='chat' from='s' to='im' id='m'>" + in + "</message>"
		if _, _, ok := scanned(raw, fanRoot); ok {
			bubble(t, func(tb *testbed) { newFanJudge(t, tb).judge(raw) })
		}
	})
}

// fanRoot declares a prefix that the message may use.
var fanRoot = strings.TrimSuffix(rootTag, ">") + " xmlns:ad='" + stanza.NSAddress + "'>"

// TestFanOutJudged is the same with messages that are mostly well made.
func TestFanOutJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(endless{t}, func(rt *rapid.T) {
			tb := newTestbed(t, nil)
			defer tb.close()
			tb.r.Returning()
			raw := "<message type='chat' from='s' to='im' id='m'>" + drawAddresses(rt) + "<body>x</body></message>"
			if _, _, ok := scanned(raw, fanRoot); !ok {
				rt.Fatalf("not scanned: %s", raw)
			}
			newFanJudge(rt, tb).judge(raw)
		})
	})
}

// drawAddresses draws an addresses element in one of the ways it can be written.
func drawAddresses(t *rapid.T) string {
	pick := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(t, what) }
	p, decl := "", " "+addressNS
	switch pick("name", "plain", "of the stream", "of its own") {
	case "of the stream":
		p, decl = "ad:", ""
	case "of its own":
		p, decl = "own:", " xmlns:own='"+stanza.NSAddress+"'"
	}
	var b strings.Builder
	for range rapid.IntRange(0, 8).Draw(t, "addresses") {
		q := pick("quote", "'", `"`)
		attrs := []string{" type=" + q + pick("type", "to", "to", "cc", "bcc", "bcc", "replyto", "noreply") + q,
			" jid=" + q + pick("jid", "a@im", "b@im", "c@im", "b@im/1", "b@im/9", "&#x61;@im", "A@IM", "plain", "u@many", "nobody@im", "@", "im", "a@im/&lt;&apos;") + q}
		if rapid.IntRange(0, 4).Draw(t, "delivered") == 0 {
			attrs = append(attrs, pick("mark", " delivered='true'", " delivered = 'true'"))
		}
		attrs = append(attrs, pick("more", "", " desc='>'", " node='n'", " xmlns:z='y' z:type='bcc' z:jid='c@im'", "\n"))
		attrs = rapid.Permutation(attrs).Draw(t, "order")
		fmt.Fprintf(&b, "<%saddress%s%s", p, strings.Join(attrs, ""), pick("end", "/>", " />", "></"+p+"address>", "><x xmlns='y'/></"+p+"address\n>",
			"><"+p+"address type='bcc' jid='c@im'/></"+p+"address>", "><![CDATA[/>]]></"+p+"address>"))
		b.WriteString(pick("between", "", " ", "text", "<![CDATA[<address/>]]>", "<o xmlns='y'><address type='no'/></o>"))
	}
	return pick("before", "", "<addresses xmlns='y'><address type='to' jid='a@im'/></addresses>") +
		"<" + p + "addresses" + decl + ">" + b.String() + "</" + p + "addresses>"
}

// fanJudge knows what a message should do.
type fanJudge struct {
	*testbed
	t      rapid.TB
	sent   xmlNode
	wanted []fanWanted
	bad    bool // nobody gets anything
}

// fanWanted is an address to deliver to.
type fanWanted struct {
	jid   string // canonical
	blind bool
	homes []string // nil: it fails
}

func newFanJudge(t rapid.TB, tb *testbed) *fanJudge {
	for _, n := range []string{"many", "plain"} {
		tb.attach(n)
	}
	tb.login("many", "a@im/1")
	tb.login("many", "b@im/1")
	tb.login("plain", "b@im/2")
	tb.login("plain", "c@im/2")
	tb.takesMany("many")
	src := tb.attach("s")
	src.sc = stanza.NewScanner(stanza.DefaultLimits)
	_, _, _ = src.sc.Next([]byte(fanRoot), &stanza.Header{}) // as scanned did
	return &fanJudge{testbed: tb, t: t}
}

func (j *fanJudge) judge(raw string) {
	var root xmlNode
	if err := xml.Unmarshal([]byte(fanRoot+raw+"</stream:stream>"), &root); err != nil {
		j.t.Fatalf("%v in %q", err, raw)
	}
	j.sent = root.Nodes[0]
	j.read()
	j.send("s", raw)
	got := map[string][]xmlNode{}
	for _, n := range []string{"many", "plain", "s"} {
		got[n] = readStanzas(j.t, j.taken(n))
	}
	var errs []xmlNode
	got["s"] = slices.DeleteFunc(got["s"], func(n xmlNode) bool {
		if n.value("type") == "error" {
			errs = append(errs, n)
		}
		return n.value("type") == "error"
	})
	for node, list := range got {
		j.copies(node, list)
	}
	j.errors(errs)
}

// read says what should be, from what encoding/xml sees.
func (j *fanJudge) read() {
	lists := j.sent.lists()
	if j.bad = len(lists) != 1 || len(lists[0].addresses()) == 0; j.bad {
		return
	}
	for _, a := range lists[0].addresses() {
		kind := a.value("type")
		mark, marked := a.attr("delivered")
		jid, hasJID := a.attr("jid")
		_, hasURI := a.attr("uri")
		wanted := (kind == "to" || kind == "cc" || kind == "bcc") && !marked
		known := slices.Contains([]string{"to", "cc", "bcc", "replyto", "replyroom", "noreply"}, kind)
		if !known || marked && mark != "true" || wanted && hasJID == hasURI {
			j.bad = true
		}
		if !wanted {
			continue
		}
		w := fanWanted{blind: kind == "bcc"}
		if to, _, err := stanza.ParseAddress([]byte(jid), false, nil); err == nil && hasJID {
			w.jid = to.String()
			w.homes = j.homes(to)
		}
		j.wanted = append(j.wanted, w)
	}
}

// homes gives the nodes of an address.
func (j *fanJudge) homes(to stanza.Address) []string {
	if homes := fanHomes[to.String()]; homes != nil {
		return homes
	}
	if string(to.Domain()) == "im" && len(to.Local()) > 0 {
		return fanHomes[string(to.Bare())] // chat to a resource that is gone
	}
	return fanHomes[string(to.Domain())] // a node's domain, with any local part
}

// seenAs tells an address that knows that it is a blind one from others.
func seenAs(jid string, blind bool) string {
	if blind {
		return jid + " (bcc)"
	}
	return jid
}

// copies looks at what a node was written: each address once, the message unchanged, nobody else's blind addresses.
func (j *fanJudge) copies(node string, list []xmlNode) {
	want, got := map[string]int{}, map[string]int{}
	for _, w := range j.wanted {
		if !j.bad && slices.Contains(w.homes, node) {
			want[seenAs(w.jid, w.blind)]++
		}
	}
	groups := 0
	for _, st := range list {
		if st.value("from") != "s" || st.value("id") != "m" || st.rest() != j.sent.rest() || len(st.lists()) != 1 {
			j.t.Fatalf("%s got %+v of %+v", node, st, j.sent)
		}
		to, open := st.value("to"), j.open(&st)
		if len(open) == 0 {
			got[seenAs(to, j.blind(&st, []string{to}) > 0)]++
			continue
		}
		if groups++; groups > 1 || node != "many" || to != "many" {
			j.t.Fatalf("%s got a stanza for several users: %+v", node, st)
		}
		var jids []string
		for _, a := range open {
			got[seenAs(canonical(a), a.value("type") == "bcc")]++
			jids = append(jids, canonical(a))
		}
		j.blind(&st, jids)
	}
	if !maps.Equal(got, want) {
		j.t.Fatalf("%s got %v, want %v: %+v", node, got, want, list)
	}
}

// open gives the addresses to which a recipient is to deliver.
func (j *fanJudge) open(st *xmlNode) []xmlNode {
	return slices.DeleteFunc(st.lists()[0].addresses(), func(a xmlNode) bool {
		return a.value("delivered") != "" || !slices.Contains([]string{"to", "cc", "bcc"}, a.value("type"))
	})
}

func canonical(a xmlNode) string {
	to, _, _ := stanza.ParseAddress([]byte(a.value("jid")), false, nil)
	return to.String()
}

// blind looks that a recipient sees its own blind addresses only, and all others; it gives the number of the blind ones.
func (j *fanJudge) blind(st *xmlNode, own []string) (blind int) {
	shown := st.lists()[0].addresses()
	for _, a := range shown {
		if a.value("type") != "bcc" {
			continue
		}
		if blind++; !slices.Contains(own, canonical(a)) {
			j.t.Fatalf("%v saw %s: %+v", own, a.value("jid"), st)
		}
	}
	seen := slices.DeleteFunc(j.sent.lists()[0].addresses(), func(a xmlNode) bool { return a.value("type") == "bcc" })
	if len(seen) != len(shown)-blind {
		j.t.Fatalf("%v saw %d addresses of %d: %+v", own, len(shown)-blind, len(seen), st)
	}
	return blind
}

// errors looks at what the sender was told: one error, with each address that failed, if any did.
func (j *fanJudge) errors(errs []xmlNode) {
	failed := 0
	for _, w := range j.wanted {
		if w.homes == nil {
			failed++
		}
	}
	switch {
	case j.bad && len(errs) == 1 && len(errs[0].value("from")) > 0:
	case !j.bad && failed == 0 && len(errs) == 0:
	case !j.bad && failed > 0 && len(errs) == 1 && len(errs[0].lists()) > 0:
		lists := errs[0].lists()
		if n := len(lists[len(lists)-1].addresses()); n != failed {
			j.t.Fatalf("%d failed, the error has %d: %+v", failed, n, errs[0])
		}
	default:
		j.t.Fatalf("bad %t, %d failed, errors: %s", j.bad, failed, fmt.Sprintf("%+v", errs))
	}
}
