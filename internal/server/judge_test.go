package server_test

import (
	"encoding/xml"
	"strings"
	"testing"
)

// received reads an element as an actor does.
func received(t *testing.T, text string) *element {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader("<s xmlns='" + nsComponent + "'>" + text))
	_, _ = d.Token()
	tok, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	e, err := readElement(d, tok.(xml.StartElement))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// matches are elements that a scene expects and receives; a judge that lets all pass is none.
var matches = []struct {
	want, got string
	ok        bool
}{
	{"<a b='1' c='2'/>", `<a c="2" b="1"></a>`, true},
	{"<a/>", "<b/>", false},
	{"<a/>", "<a xmlns='jabber:client'/>", false},
	{"<a xmlns='u'><b/></a>", "<p:a xmlns:p='u'><p:b/></p:a>", true},
	{"<a xmlns='u'><b/></a>", "<p:a xmlns:p='u'><b/></p:a>", false},
	{"<a b='1'/>", "<a/>", false},
	{"<a/>", "<a b='1'/>", false},
	{"<a b='1'/>", "<a b='2'/>", false},
	{"<a b='*'/>", "<a b='2'/>", true},
	{"<a b='*'/>", "<a b=''/>", false},
	{"<a b='*'/>", "<a/>", false},
	{"<a xml:lang='en'/>", "<a lang='en'/>", false},
	{"<a>x</a>", "<a>x</a>", true},
	{"<a>x</a>", "<a>x </a>", false},
	{"<a>x</a>", "<a/>", false},
	{"<a/>", "<a>x</a>", false},
	{"<a>x&amp;y</a>", "<a><![CDATA[x&]]>y</a>", true},
	{"<a><b/><c/></a>", "<a><c/><b/></a>", false},
	{"<a><b/></a>", "<a><b/><b/></a>", false},
	{"<a><b/></a>", "<a>b</a>", false},
	{"<a>{any}</a>", "<a>x<b/></a>", true},
	{"<a>{any}</a>", "<b/>", false},
	{"<a b='{x}' c='{x}'/>", "<a b='1' c='1'/>", true},
	{"<a b='{x}' c='{x}'/>", "<a b='1' c='2'/>", false},
	{"<a><b c='{x}'/><d>{x}-{x}</d></a>", "<a><b c='1'/><d>1-1</d></a>", true},
	{"<a>{error cancel/gone}</a>", "<a><error type='cancel' by='hub1.im.example'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>x</text></error></a>", true},
	{"<a>{error modify/gone}</a>", "<a><error type='cancel' by='hub1.im.example'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>x</text></error></a>", false},
	{"<a>{error cancel/gone}</a>", "<a><error type='cancel' by='hub1.im.example'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></a>", false},
	{"<a>{error cancel/gone and <x/>}</a>", "<a><error type='cancel' by='hub1.im.example'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>x</text></error></a>", false},
}

// TestMatch judges the judge of elements.
func TestMatch(t *testing.T) {
	for _, c := range matches {
		want, err := parseElement(c.want)
		if err != nil {
			t.Fatalf("%s: %v", c.want, err)
		}
		if err := want.match(received(t, c.got), map[string]string{}); (err == nil) != c.ok {
			t.Errorf("expected %s, received %s: %v", c.want, c.got, err)
		}
	}
}

// wrongScenes are scenes that must not pass, each with what is said of it.
var wrongScenes = []struct{ steps, says string }{
	{"a dances", "no such step"},
	{"server timers.grace=soon", "the configuration"},
	{"a sends <message/>", "has not connected"},
	{"a opens node1.im.example with a-secret-that-is-wrong", "not-authorized"},
	{"a opens node1.im.example\na sends <message from='node1.im.example' to='node1.im.example' id='1'/>", "which the scene does not say"},
	{"a opens node1.im.example\na sends <message from='node1.im.example' to='node1.im.example' id='1'/>\na receives nothing", "which the scene does not say"},
	{"a opens node1.im.example\na sends <message from='node1.im.example' to='node1.im.example' id='1'/>\na receives nothing for 5s", "which the scene does not say"},
	{"a opens node1.im.example\na sends <message from='node1.im.example' to='node1.im.example' id='1'/>\na receives <message from='node1.im.example' to='node1.im.example' id='2'/>", "id of message"},
	{"a opens node1.im.example\na sends <message from='node1.im.example' to='node1.im.example' id='1'/>\na's stream ends", "instead of the closing tag"},
	{"a opens node1.im.example\na sends <message from='node1.im.example' to='node1.im.example'  id='1'/>\na receives exactly <message from='node1.im.example' to='node1.im.example' id='1'/>", "a received"},
	{"a opens node1.im.example\na sends <x/>\na's stream ends with not-authorized", "the condition is not"},
	{"a opens node1.im.example\na sends <x/>\na's stream ends with unsupported-stanza-type saying nonsense", "does not say"},
	{"a opens node1.im.example\na sends <x/>\na's stream ends with unsupported-stanza-type after 5s", "the stream ended after"},
	{"a opens node1.im.example\na sends <x/>\na's stream ends", "instead of the closing tag"},
	{"a opens node1.im.example\na closes\na's connection breaks", "instead of the end"},
	{"a opens node1.im.example\na sends <message id='{unheard}'/>", "nothing was received under"},
	{"a opens node1.im.example\na sends <message from='node1.im.example' to='node1.im.example'><body>play-secret</body></message>\na receives <message>{any}</message>", "shown a secret"},
}

// TestScenesThatBreak judges the stage: each of these scenes says something that is not so.
func TestScenesThatBreak(t *testing.T) {
	for _, c := range wrongScenes {
		t.Run(c.says, func(t *testing.T) {
			t.Parallel()
			sc := scene{title: c.says}
			for i, text := range strings.Split(c.steps, "\n") {
				sc.steps = append(sc.steps, line{i + 1, text})
			}
			if err := perform(t, sc); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q: %v", c.steps, err)
			}
		})
	}
}
