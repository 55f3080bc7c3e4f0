package component

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
)

func TestUndelivered(t *testing.T) {
	const (
		offline = `<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><offline xmlns='urn:patchbay:offline:1'/>`
		full    = `<resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>`
		list    = `<addresses xmlns='http://jabber.org/protocol/address'>`
	)
	failed := func(inner string) string { return "<error type='cancel'>" + inner + "</error>" }
	line := func(j, inner string) string { return "<address type='bcc' jid='" + j + "'>" + inner + "</address>" }
	tests := []struct{ name, from, inner, cause, want string }{
		{"offline", "bob@im.example", failed(offline), "service-unavailable", "[{bob@im.example service-unavailable true}]"},
		{"another error", "bob@im.example/web", failed(full), "resource-constraint", "[{bob@im.example/web resource-constraint false}]"},
		{"some of many", "im.example", failed(offline) + list + line("a@im.example", "") + line("b@im.example", full) + line("c@im.example", "") + "</addresses>",
			"service-unavailable", "[{a@im.example service-unavailable true} {b@im.example resource-constraint false} {c@im.example service-unavailable true}]"},
		{"most are not offline", "im.example", failed(full) + list + line("a@im.example", offline) + line("b@im.example", "") + line("@", "") + "</addresses>",
			"resource-constraint", "[{a@im.example service-unavailable true} {b@im.example resource-constraint false}]"},
		{"a list refused as a whole", "im.example", failed(full), "resource-constraint", "[{im.example resource-constraint false}]"},
		{"a user's own list", "bob@im.example", failed(full) + list + line("a@im.example", offline) + "</addresses>",
			"resource-constraint", "[{bob@im.example resource-constraint false}]"},
		{"the mark in the wrong place", "bob@im.example", failed(full) + "<offline xmlns='urn:patchbay:offline:1'/>", "resource-constraint", "[{bob@im.example resource-constraint false}]"},
		{"an error without a condition", "bob@im.example", "<error/>", "", "[{bob@im.example  false}]"},
		{"an error with other things", "bob@im.example", failed("x<y xmlns='urn:y'><error/></y>" + full), "resource-constraint", "[{bob@im.example resource-constraint false}]"},
		{"no error", "bob@im.example/web", list + line("a@im.example", "") + "</addresses>", "", "[]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := xml.NewDecoder(strings.NewReader("<message type='error' from='" + tt.from + "' to='node1.im.example'>" + tt.inner + "</message>"))
			tok, err := d.Token()
			if err != nil {
				t.Fatal(err)
			}
			start := tok.(xml.StartElement)
			m, err := ReadMessage(d, &start)
			if err != nil {
				t.Fatal(err)
			}
			cause := ""
			if m.Cause != nil {
				cause = string(m.Cause.Condition)
			}
			if got := fmt.Sprint(m.Undelivered); got != tt.want || cause != tt.cause {
				t.Errorf("got  %q %s\nwant %q %s", cause, got, tt.cause, tt.want)
			}
			if len(m.Recipients) > 0 && m.Cause != nil {
				t.Errorf("an error is to be delivered to %v", m.Recipients)
			}
		})
	}
}
