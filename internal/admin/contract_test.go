package admin

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/patchbay-im/patchbay/component"
)

// attach attaches a node with its users.
func (st *stage) attach(domain string, users ...string) *component.Node {
	st.t.Helper()
	ctx, cancel := context.WithTimeout(st.t.Context(), patience)
	defer cancel()
	n, err := component.Dial(ctx, component.Config{Addrs: []string{st.s.ComponentAddr()}, Domain: domain, Secret: house, Users: []string{"im.example"}})
	if err != nil {
		st.t.Fatal(err)
	}
	st.t.Cleanup(func() { n.Close() })
	var all []jid.JID
	for _, u := range users {
		all = append(all, jid.MustParse(u))
	}
	if len(all) > 0 {
		if err := n.Announce(ctx, all...); err != nil {
			st.t.Fatal(err)
		}
	}
	return n
}

// chat is a message as a node sends it.
func chat(from, to string) xml.TokenReader {
	return component.Message{Message: stanza.Message{Type: stanza.ChatMessage, From: jid.MustParse(from), To: jid.MustParse(to)}, Body: "hello"}.TokenReader()
}

// answers are asks of every operation, good ones and bad ones, and the status of each. An operation without a row is a
// fault.
var answers = []struct {
	id, query, body string
	status          int
}{
	{"status", "", "", 200},
	{"status", "?x=y", "", 400},
	{"status", "?%zz", "", 400},
	{"nodes", "", "", 200},
	{"nodes", "?domain=node1.im.example", "", 200},
	{"nodes", "?domain=", "", 200},
	{"nodes", "?domain=node7.im.example", "", 404},
	{"nodes", "?domain=a&domain=b", "", 400},
	{"links", "", "", 200},
	{"links", "?closed=true", "", 200},
	{"links", "?closed=yes", "", 400},
	{"sessions", "", "", 200},
	{"sessions", "?node=node1.im.example&limit=1", "", 200},
	{"sessions", "?user=alice@im.example", "", 200},
	{"sessions", "?user=alice@im.example/phone&count=true", "", 200},
	{"sessions", "?limit=0", "", 400},
	{"sessions", "?limit=10001", "", 400},
	{"sessions", "?limit=1e3", "", 400},
	{"sessions", "?user=im.example", "", 400},
	{"sessions", "?user=@", "", 400},
	{"sessions", "?node=node7.im.example", "", 404},
	{"where", "?jid=alice@im.example", "", 200},
	{"where", "?jid=alice@im.example/phone", "", 200},
	{"where", "?jid=nobody@im.example", "", 200},
	{"where", "", "", 400},
	{"where", "?jid=im.example", "", 400},
	{"where", "?jid=a@b@c", "", 400},
	{"where", "?jid=alice@other.example", "", 404},
	{"outcomes", "", "", 200},
	{"outcomes", "?since=30m&reason=no-session", "", 200},
	{"outcomes", "?node=node1.im.example&since=10s", "", 200},
	{"outcomes", "?since=31m", "", 400},
	{"outcomes", "?since=9s", "", 400},
	{"outcomes", "?since=-5m", "", 400},
	{"outcomes", "?since=5", "", 400},
	{"outcomes", "?reason=none", "", 400},
	{"outcomes", "?node=node7.im.example", "", 404},
	{"explain", "?from=alice@im.example/phone&to=dora@im.example&type=chat", "", 200},
	{"explain", "?from=alice@im.example/phone&to=nobody@im.example&type=chat", "", 200},
	{"explain", "?from=alice@im.example/phone&to=@&kind=iq", "", 200},
	{"explain", "?from=mallory@other.example&to=a%00b&kind=presence", "", 200},
	{"explain", "?from=%3Cx%3E&type='/%3E%3Cy/%3E", "", 200},
	{"explain", "", "", 200},
	{"explain", "?kind=packet", "", 400},
	{"tap", "?match=nobody@im.example&for=1s&count=1", "", 200},
	{"tap", "?body=true", "", 403},
	{"tap", "?for=0s", "", 400},
	{"tap", "?for=25h", "", 400},
	{"tap", "?count=0", "", 400},
	{"tap", "?match=@", "", 400},
	{"doctor", "", "", 200},
	{"config", "", "", 200},
	{"openapi", "", "", 200},
	{"healthz", "", "", 200},
	{"readyz", "", "", 200},
	{"metrics", "", "", 200},
	{"drain-state", "?server=true", "", 200},
	{"drain-state", "?node=node1.im.example", "", 200},
	{"drain-state", "", "", 400},
	{"drain-state", "?server=true&node=node1.im.example", "", 400},
	{"drain-state", "?node=node7.im.example", "", 404},
	{"drain", "", `{"node":"node2.im.example"}`, 200},
	{"drain", "", `{"node":"node2.im.example"}`, 200},
	{"drain", "", `{"server":true}`, 200},
	{"drain", "", `{}`, 400},
	{"drain", "", `{"node":"node2.im.example","server":true}`, 400},
	{"drain", "", `{"node":"node7.im.example"}`, 404},
	{"drain", "", `{"nod":"node2.im.example"}`, 400},
	{"drain", "", `{"node":7}`, 400},
	{"drain", "", `{"node":"node2.im.example"} {}`, 400},
	{"drain", "", `[]`, 400},
	{"drain", "", ``, 400},
	{"drain", "?x=y", `{"node":"node2.im.example"}`, 400},
	{"drain", "", `{"node":"` + strings.Repeat("x", mostBody) + `"}`, 413},
	{"undrain", "", `{"server":true}`, 200},
	{"undrain", "", `{"node":"node2.im.example"}`, 200},
	{"undrain", "", `{"node":"node7.im.example"}`, 404},
	{"kick", "", `{"target":"dora@im.example/web"}`, 200},
	{"kick", "", `{"target":"dora@im.example/web"}`, 404},
	{"kick", "", `{"target":"dora@im.example","reason":"test"}`, 200},
	{"kick", "", `{"target":"node2.im.example/999"}`, 404},
	{"kick", "", `{"target":"node2.im.example"}`, 200},
	{"kick", "", `{"target":"node7.im.example"}`, 404},
	{"kick", "", `{"target":""}`, 400},
	{"kick", "", `{"target":"a@b@c"}`, 400},
	{"kick", "", `{"target":"alice@im.example","reason":"two\nlines"}`, 400},
	{"reload", "", ``, 200},
	{"reload", "", `{}`, 200},
	{"reload", "", `{"file":"/etc/passwd"}`, 400},
	{"secret", "", `{"domain":"node9.im.example"}`, 200},
	{"secret", "", `{"domain":"node9.other.example"}`, 404},
	{"secret", "", `{"domain":"NODE9.im.example"}`, 400},
	{"secret", "", `{"domain":"hub1.im.example"}`, 404},
	{"secret", "", `{"domain":""}`, 404},
}

// TestContract asks every operation of a server with nodes and users, and lets the document judge each answer: its
// status, its media type, and its body, field by field.
func TestContract(t *testing.T) {
	st := dark(t)
	st.a.opt.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") })
	if err := st.a.Start(); err != nil {
		t.Fatal(err)
	}
	st.a.limits.changes.SetBurst(1000)
	st.a.limits.changes.SetLimit(1000)
	st.attach("node1.im.example", "alice@im.example/phone", "alice@im.example/web")
	st.attach("node2.im.example", "dora@im.example/web", "dora@im.example/phone")
	st.refuse("node3.im.example")
	doc, asked := specification(t), map[string]bool{}
	for _, c := range answers {
		o := operationOf(c.id)
		if o == nil {
			t.Errorf("there is no operation %s", c.id)
			continue
		}
		asked[c.id] = true
		r := st.request(o.method, o.path+c.query, c.body, st.withToken)
		got := st.send(r)
		if got.StatusCode != c.status {
			t.Errorf("%s %s %.80s: %s %s", c.id, c.query, c.body, got.Status, got.text)
		}
		if err := conforms(doc, o, r, got); err != nil {
			t.Errorf("%s %s %.80s: %s\n%s\n%v", c.id, c.query, c.body, got.Status, got.text, err)
		}
	}
	for _, o := range operations {
		if !asked[o.id] {
			t.Errorf("nobody asks %s: add rows to the test", o.id)
		}
	}
}

func operationOf(id string) *operation {
	for i := range operations {
		if operations[i].id == id {
			return &operations[i]
		}
	}
	return nil
}

// conforms lets the document judge an answer.
func conforms(doc *openapi3.T, o *operation, r *http.Request, got answer) error {
	item := doc.Paths.Value(o.path)
	in := &openapi3filter.RequestValidationInput{Request: r,
		Route: &routers.Route{Spec: doc, Path: o.path, PathItem: item, Method: o.method, Operation: item.GetOperation(o.method)}}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: got.StatusCode, Header: got.Header,
		Body: io.NopCloser(bytes.NewReader([]byte(got.text))), Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true,
			ExcludeResponseBody: got.Header.Get("Content-Type") == mediaNDJSON}} // TestTap looks at its lines
	return openapi3filter.ValidateResponse(r.Context(), out)
}

// TestContractCanFail plants answers that the document does not describe.
func TestContractCanFail(t *testing.T) {
	st := newStage(t)
	doc, o := specification(t), operationOf("drain-state")
	r := st.request(o.method, o.path, "")
	head := http.Header{"Content-Type": {mediaJSON}}
	for _, c := range []struct {
		text   string
		status int
		good   bool
	}{
		{`{"draining":false,"sessions":0,"queue_stanzas":0,"queue_bytes":0,"oldest_stanza_age_seconds":0,"held_stanzas":0,"left_nodes":0,"safe":false}`, 200, true},
		{`{"draining":false,"sessions":0,"queue_stanzas":0,"queue_bytes":0,"oldest_stanza_age_seconds":0,"held_stanzas":0,"left_nodes":0}`, 200, false},
		{`{"draining":false,"sessions":0,"queue_stanzas":-1,"queue_bytes":0,"oldest_stanza_age_seconds":0,"held_stanzas":0,"left_nodes":0,"safe":false}`, 200, false},
		{`{"draining":false,"sessions":0,"queue_stanzas":0,"queue_bytes":0,"oldest_stanza_age_seconds":0,"held_stanzas":0,"left_nodes":0,"safe":false,"more":1}`, 200, false},
		{`{"draining":null,"sessions":0,"queue_stanzas":0,"queue_bytes":0,"oldest_stanza_age_seconds":0,"held_stanzas":0,"left_nodes":0,"safe":false}`, 200, false},
		{`{"code":"not-found","message":"x"}`, 404, true},
		{`{"code":"not-found"}`, 404, false},
		{`{"code":"not-found","message":"x"}`, 418, false},
	} {
		err := conforms(doc, o, r, answer{&http.Response{StatusCode: c.status, Header: head}, c.text})
		if (err == nil) != c.good {
			t.Errorf("%d %s: %v", c.status, c.text, err)
		}
	}
}
