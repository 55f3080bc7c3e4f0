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
		{"an error without a condition", "bob@im.example", "<error/>", "undefined-condition", "[{bob@im.example undefined-condition false}]"},
		{"an error with other things", "bob@im.example", failed("x<y xmlns='urn:y'><error/></y>" + full), "resource-constraint", "[{bob@im.example resource-constraint false}]"},
		{"no error", "bob@im.example/web", list + line("a@im.example", "") + "</addresses>", "undefined-condition", "[{bob@im.example/web undefined-condition false}]"},
		{"no error, from a node", "node2.im.example", list + line("a@im.example", "") + "</addresses>", "undefined-condition", "[{a@im.example undefined-condition false}]"},
		{"the list of a node's copy", "node2.im.example", failed(full) + list + "<address type='to' jid='bob@im.example'/><address type='cc' jid='dave@im.example' delivered='true'/>" +
			"<address type='replyto' jid='boss@im.example'/><address type='to' jid='bob@im.example'/></addresses>",
			"resource-constraint", "[{bob@im.example resource-constraint false}]"},
		{"a list of which none is open", "node2.im.example", failed(full) + list + "<address type='to' jid='dave@im.example' delivered='1'/><address type='ofrom' jid='boss@im.example'/></addresses>",
			"resource-constraint", "[{node2.im.example resource-constraint false}]"},
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
			if len(m.Recipients) > 0 {
				t.Errorf("an error is to be delivered to %v", m.Recipients)
			}
		})
	}
}

// A message that is not of type error is one to deliver, whatever it holds.
func TestErrorElementInAMessage(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader("<message type='chat' from='bob@im.example' to='node1.im.example'><error type='cancel'/>" +
		"<addresses xmlns='http://jabber.org/protocol/address'><address type='to' jid='a@im.example'/></addresses></message>"))
	tok, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	start := tok.(xml.StartElement)
	m, err := ReadMessage(d, &start)
	if err != nil || m.Cause != nil || len(m.Undelivered) > 0 || fmt.Sprint(m.Recipients) != "[a@im.example]" {
		t.Errorf("got %+v, %v", m, err)
	}
}
