package routing

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// scanned gives the header of a stanza, or false if the scanner does not take it as one stanza.
func scanned(raw, root string) (*stanza.Header, *stanza.Scanner, bool) {
	sc, h := stanza.NewScanner(stanza.DefaultLimits), &stanza.Header{}
	if _, _, err := sc.Next([]byte(root), h); err != nil {
		return nil, nil, false
	}
	tok, n, err := sc.Next([]byte(raw), h)
	return h, sc, err == nil && tok == stanza.Element && n == len(raw) && len(h.Raw) == len(raw)
}

func TestHintOf(t *testing.T) {
	const hints, states = "xmlns='urn:xmpp:hints'", "xmlns='http://jabber.org/protocol/chatstates'"
	root := strings.TrimSuffix(rootTag, ">") + " xmlns:h='urn:xmpp:hints' xmlns:c='http://jabber.org/protocol/chatstates'>"
	for _, c := range []struct {
		name, in string
		want     Hint
	}{
		{"nothing", "", HintNone},
		{"a body", "<body>x</body>", HintNone},
		{"no-store", "<body/><no-store " + hints + "/>", HintNever},
		{"no-storage, as early versions had it", "<no-storage " + hints + "/>", HintNever},
		{"no-permanent-store is for archives", "<no-permanent-store " + hints + "/>", HintNone},
		{"no-copy", "<no-copy " + hints + "/>", HintNone},
		{"store and no-store", "<store " + hints + "/><no-store " + hints + "/>", HintNever},
		{"no-store of another namespace", "<no-store xmlns='urn:other'/>", HintNone},
		{"no-store without a namespace", "<no-store/>", HintNone},
		{"no-store in a forwarded message", "<forwarded xmlns='urn:xmpp:forward:0'><message><no-store " + hints + "/></message></forwarded>", HintNone},
		{"no-store in text", "<body>&lt;no-store " + hints + "/></body>", HintNone},
		{"no-store in CDATA", "<body><![CDATA[<no-store " + hints + "/>]]></body>", HintNone},
		{"a prefix of the stream", "<h:no-store/>", HintNever},
		{"a prefix of its own", "<q:no-store xmlns:q='urn:xmpp:hints'/>", HintNever},
		{"a prefix that hides that of the stream", "<h:no-store xmlns:h='urn:other'/>", HintNone},
		{"a state", "<composing " + states + "/>", HintState},
		{"a state by prefix", "<c:paused/>", HintState},
		{"a state and a thread", "<gone " + states + "/><thread>t</thread>", HintState},
		{"two states", "<active " + states + "/><gone " + states + "/>", HintState},
		{"a state and a body", "<active " + states + "/><body>x</body>", HintNone},
		{"a state and a subject", "<subject/><active " + states + "/>", HintNone},
		{"a state that asks to be stored", "<active " + states + "/><store " + hints + "/>", HintNone},
		{"a state that is not to be copied", "<active " + states + "/><no-copy " + hints + "/>", HintState},
		{"a thread alone", "<thread>t</thread>", HintNone},
		{"a state in something", "<x xmlns='y'><active " + states + "/></x>", HintNone},
		{"a state of another namespace", "<active xmlns='y'/>", HintNone},
	} {
		h, sc, ok := scanned("<message from='a' to='b@im'>"+c.in+"</message>", root)
		if !ok {
			t.Fatalf("%s: not scanned", c.name)
		}
		if got := hintOf(h, sc.StreamHeader().Prefixes); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

var testDelay = delay{"im", time.Date(2026, 7, 8, 9, 10, 11, 123_456_789, time.FixedZone("", 7200))}

const testStamp = "<delay xmlns='urn:xmpp:delay' from='im' stamp='2026-07-08T07:10:11.123Z'/>"

func TestAppendDelayed(t *testing.T) {
	for _, c := range []struct{ name, raw, want string }{ // %s is the delay
		{"empty", "<message to='b'/>", "<message to='b'>%s</message>"},
		{"empty, with space", "<message to='b' />", "<message to='b' >%s</message>"},
		{"empty, on lines", "<message\n to='b'\n/>", "<message\n to='b'\n>%s</message>"},
		{"a slash in a value", "<message to='b/>'></message>", "<message to='b/>'>%s</message>"},
		{"an empty one with a slash in a value", "<message to='b/'/>", "<message to='b/'>%s</message>"},
		{"nothing in it", "<message></message>", "<message>%s</message>"},
		{"an empty child at the end", "<message><body/></message>", "<message><body/>%s</message>"},
		{"space in the end tag", "<message><body/></message \n>", "<message><body/>%s</message \n>"},
		{"a prefix", "<p:message xmlns:p='jabber:client'/>", "<p:message xmlns:p='jabber:client'>%s</p:message>"},
		{"a prefix, with children", "<p:message xmlns:p='jabber:client'><p:body>x</p:body></p:message>",
			"<p:message xmlns:p='jabber:client'><p:body>x</p:body>%s</p:message>"},
		{"an end tag in CDATA", "<message><body><![CDATA[</message>]]></body></message>", "<message><body><![CDATA[</message>]]></body>%s</message>"},
		{"CDATA at the end", "<message><![CDATA[</]]></message>", "<message><![CDATA[</]]>%s</message>"},
		{"an empty end in CDATA", "<message><![CDATA[/>]]></message>", "<message><![CDATA[/>]]>%s</message>"},
		{"text at the end", "<message>x/&gt;</message>", "<message>x/&gt;%s</message>"},
		{"has one", "<message><delay xmlns='urn:xmpp:delay' stamp='x'/></message>", ""},
		{"has one by prefix", "<message xmlns:d='urn:xmpp:delay'><d:delay stamp='x'/></message>", ""},
		{"has one among others", "<message><body/><delay xmlns='urn:xmpp:delay'>Offline</delay><x/></message>", ""},
		{"has one deeper", "<message><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay'/></forwarded></message>",
			"<message><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay'/></forwarded>%s</message>"},
		{"has one of another namespace", "<message><delay/></message>", "<message><delay/>%s</message>"},
		{"has one of XEP-0091", "<message><x xmlns='jabber:x:delay'/></message>", "<message><x xmlns='jabber:x:delay'/>%s</message>"},
	} {
		want := strings.ReplaceAll(c.want, "%s", testStamp)
		if want == "" {
			want = c.raw
		}
		if got := string(appendDelayed([]byte("before"), []byte(c.raw), testDelay)); got != "before"+want {
			t.Errorf("%s: %q, want %q", c.name, got, want)
		}
	}
}

// FuzzAppendDelayed: whatever stanza the scanner takes, with its delay it is one still, and the same but for that.
func FuzzAppendDelayed(f *testing.F) {
	for _, s := range []string{"<message/>", "<message ></message\t>", "<message><![CDATA[</message>]]></message>", "<message a='/>'/>",
		"<p:message xmlns:p='jabber:client'><p:delay/></p:message>", "<message xmlns:d='urn:xmpp:delay'><d:delay/><delay/></message>",
		"<message><x xmlns='urn:xmpp:delay'><delay/></x></message>", "<message><a/>]]&gt;<b x=\"'\"></b>&#x2f;></message>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if _, _, ok := scanned(raw, rootTag); !ok {
			return
		}
		out := string(appendDelayed(nil, []byte(raw), testDelay))
		if _, _, ok := scanned(out, rootTag); !ok {
			t.Fatalf("%q became %q", raw, out)
		}
		before, had := seenIn(t, raw)
		after, has := seenIn(t, out)
		if !has || before != after && !had {
			t.Fatalf("%q became %q: %t %t\n%s\n%s", raw, out, had, has, before, after)
		}
		if had && out != raw {
			t.Fatalf("%q has a delay and became %q", raw, out)
		}
	})
}

// seenIn gives what encoding/xml sees in a stanza, without the delays that are its children, and whether there is one.
func seenIn(t *testing.T, raw string) (seen string, delayed bool) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(rootTag + raw))
	var b bytes.Buffer
	depth, skip := 0, 0
	for {
		tok, err := d.Token()
		if err == io.EOF || err != nil && strings.Contains(err.Error(), "unexpected EOF") {
			return b.String(), delayed
		}
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if depth++; depth == 3 && tok.Name.Local == "delay" && tok.Name.Space == nsDelay {
				delayed, skip = true, depth
			}
			if skip == 0 {
				fmt.Fprintf(&b, "<%v %v>", tok.Name, tok.Attr)
			}
		case xml.EndElement:
			if skip == 0 {
				fmt.Fprintf(&b, "</%v>", tok.Name)
			}
			if depth == skip {
				skip = 0
			}
			depth--
		case xml.CharData:
			if skip == 0 {
				fmt.Fprintf(&b, "%q", tok)
			}
		}
	}
}
