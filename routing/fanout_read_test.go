package routing

import (
	"fmt"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/stanza"
)

const addressNS = "xmlns='" + stanza.NSAddress + "'"

// addressed gives a message with what is between the tags of its addresses.
func addressed(list string) string {
	return "<message from='s' to='im' id='m'><addresses " + addressNS + ">" + list + "</addresses><body>x</body></message>"
}

func TestFanRead(t *testing.T) {
	const one, two = "<address type='to' jid='a@im'/>", "<addresses " + addressNS + "><address type='to' jid='a@im'/></addresses>"
	for _, c := range []struct {
		name, in string
		want     Reason
		list     string // as "type of each: + wanted, b blind, its jid or reason"
	}{
		{"one", addressed(one), None, "+a@im"},
		{"each type", addressed("<address type='cc' jid='a@im'/><address type='bcc' jid='b@im'/><address type='replyto' jid='c@im'/><address type='replyroom' jid='d@im'/><address type='noreply'/>"),
			None, "+a@im +b:b@im - - -"},
		{"canonical form", addressed("<address type='to' jid='A@IM/R'/>"), None, "+a@im/R"},
		{"an escaped address", addressed("<address type='to' jid='&#x61;&amp;@im'/>"), None, "+bad-to"},
		{"an escaped letter", addressed("<address type='to' jid='&#x61;@im'/>"), None, "+a@im"},
		{"delivered", addressed("<address type='to' jid='a@im' delivered='true'/>"), None, "-"},
		{"delivered, without a jid", addressed("<address type='to' delivered='true'/>"), None, "-"},
		{"delivered in front", addressed("<address delivered='true' type='to' jid='a@im'/>" + one), None, "- +a@im"},
		{"double quotes, an end tag, a child", addressed(`<address jid="a@im" type="to"><x xmlns="y"/></address >`), None, "+a@im"},
		{"a jid that is none fails alone", addressed("<address type='to' jid='@'/>" + one), None, "+bad-to +a@im"},
		{"a uri fails alone", addressed("<address type='to' uri='sip:x'/>" + one), None, "+no-uri +a@im"},
		{"a uri to reply to", addressed("<address type='replyto' uri='sip:x'/>" + one), None, "- +a@im"},
		{"desc and node", addressed("<address type='to' jid='a@im' node='n' desc='d'/>"), None, "+a@im"},
		{"the same twice", addressed(one + one), None, "+a@im +a@im"},
		{"elements of others in it", addressed("<x xmlns='y'><address type='bad'/></x>" + one + "<address xmlns='y' type='bad'/>"), None, "+a@im"},
		{"a nested address is none", addressed("<address type='to' jid='a@im'><address type='bad'/></address>"), None, "+a@im"},
		{"an address of the stanza outside", "<message from='s' to='im'><x xmlns='y'><address " + addressNS + " type='bad'/></x>" + two + "</message>", None, "+a@im"},
		{"... and behind", "<message from='s' to='im'>" + two + "<x xmlns='y'><address " + addressNS + " type='bad'/></x></message>", None, "+a@im"},
		{"other addresses first", "<message from='s' to='im'><addresses xmlns='y'><address type='bad'/></addresses>" + two + "</message>", None, "+a@im"},
		{"other addresses behind", "<message from='s' to='im'>" + two + "<addresses xmlns='y'><address type='bad'/></addresses></message>", None, "+a@im"},
		{"by prefix", "<message from='s' to='im'><p:addresses xmlns:p='" + stanza.NSAddress + "'><p:address type='to' jid='a@im'/></p:addresses></message>", None, "+a@im"},
		{"text between", addressed("\n x" + one + "<![CDATA[<address type='bad'/>]]>"), None, "+a@im"},
		{"empty", addressed(""), BadAddresses, ""},
		{"empty-element tag", "<message from='s' to='im'><addresses " + addressNS + "/></message>", BadAddresses, ""},
		{"nothing of ours in it", addressed("<x xmlns='y'/>"), BadAddresses, ""},
		{"no type", addressed("<address jid='a@im'/>"), BadAddresses, ""},
		{"an unknown type", addressed(one + "<address type='TO' jid='a@im'/>"), BadAddresses, ""},
		{"no jid", addressed("<address type='to'/>"), BadAddresses, ""},
		{"no jid but a desc", addressed("<address type='bcc' desc='x'/>"), BadAddresses, ""},
		{"jid and uri", addressed("<address type='to' jid='a@im' uri='sip:x'/>"), BadAddresses, ""},
		{"delivered='false'", addressed("<address type='to' jid='a@im' delivered='false'/>"), BadAddresses, ""},
		{"delivered=''", addressed("<address type='to' jid='a@im' delivered=''/>"), BadAddresses, ""},
		{"two lists", "<message from='s' to='im'>" + two + two + "</message>", BadAddresses, ""},
		{"a second empty list", "<message from='s' to='im'>" + two + "<addresses " + addressNS + "/></message>", BadAddresses, ""},
		{"too many", addressed(strings.Repeat(one, 6)), ManyAddresses, ""},
		{"as many as may be", addressed(strings.Repeat(one, 5)), None, "+a@im +a@im +a@im +a@im +a@im"},
		{"too many, of which some are delivered", addressed(strings.Repeat(one, 5) + "<address type='noreply'/>"), ManyAddresses, ""},
	} {
		h, _, ok := scanned(c.in, rootTag)
		if !ok {
			t.Errorf("%s: not scanned", c.name)
			continue
		}
		f := &fan{h: h, full: 5}
		if got := f.read(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		} else if list := f.words(); got == None && list != c.list {
			t.Errorf("%s: %s, want %s", c.name, list, c.list)
		}
	}
}

// words shows what was read.
func (f *fan) words() string {
	var all []string
	for _, a := range f.list {
		word := "-"
		if a.wanted {
			word = "+"
			if a.blind {
				word = "+b:"
			}
			if a.why != None {
				word += a.why.String()
			} else {
				word += a.who.String()
			}
		}
		all = append(all, word)
	}
	return strings.Join(all, " ")
}

// What a recipient sees: all but the blind ones, which are only for themselves, and every mark in its place.
func TestFanCopies(t *testing.T) {
	h, _, ok := scanned(addressed("<address type='to' jid='a@im' desc='&lt;'/> <address\n type='bcc' jid='b@im'></address>t<address type='cc' jid='c@im' delivered='true'/><address type='noreply'/>"), rootTag)
	if !ok {
		t.Fatal("not scanned")
	}
	f := &fan{h: h, full: 5}
	if why := f.read(); why != None {
		t.Fatal(why)
	}
	to := "<address delivered='true' type='to' jid='a@im' desc='&lt;'/>"
	rest := "<address type='cc' jid='c@im' delivered='true'/><address type='noreply'/>"
	if got := string(f.appendOpen(nil)); got != to+rest {
		t.Errorf("all may see %s", got)
	}
	got := string(f.appendFor(nil, []byte("n&1"), func(i int) bool { return true }, func(i int) bool { return i == 1 }))
	want := strings.Replace(addressed(to+"<address\n type='bcc' jid='b@im'></address>"+rest), "to='im'", "to='n&amp;1'", 1)
	if got != want {
		t.Errorf("a node gets\n%s, want\n%s", got, want)
	}
}

// A list at the bound of the default goes out whole.
func TestFanManyAddresses(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("s")
		tb.attach("a")
		tb.login("a", "u0@im/1")
		var list strings.Builder
		for i := range 2000 {
			fmt.Fprintf(&list, "<address type='bcc' jid='u%d@im'/>", i)
		}
		tb.send("s", addressed(list.String()))
		tb.expect("a", "m")
		l := tb.r.Ledger()
		if l.Reasons["no-session"] != 1999 || l.Copies != 1999 {
			tb.t.Errorf("%+v", l)
		}
		tb.send("s", addressed(list.String()+"<address type='noreply'/>"))
		tb.expect("a", "")
	})
}
