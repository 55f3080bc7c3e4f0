package admin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/internal/admin/api"
)

// usual is a request that each operation takes: a query and a body. A new operation needs a row here, and is then held
// against every rule of the guard.
var usual = map[string]struct{ query, body string }{
	"status": {}, "openapi": {}, "healthz": {}, "readyz": {}, "metrics": {}, "nodes": {}, "links": {query: "?closed=true"}, "doctor": {}, "config": {},
	"sessions": {query: "?user=bob@im.example"}, "where": {query: "?jid=bob@im.example"}, "outcomes": {query: "?since=5m"},
	"explain":     {query: "?from=alice@im.example/phone&to=bob@im.example"},
	"tap":         {query: "?for=1s&match=nobody@im.example"},
	"drain-state": {query: "?server=true"},
	"drain":       {body: `{"node":"node9.im.example"}`}, "undrain": {body: `{"server":true}`}, "kick": {body: `{"target":"bob@im.example"}`},
	"reload": {}, "secret": {body: `{"domain":"node9.im.example"}`},
	"planted": {body: `{"node":"x"}`},
}

// planted is a change that only tests know: it counts how often it was made.
func planted(n *atomic.Int32) operation {
	return operation{method: http.MethodPost, path: api.Prefix + "/planted", id: "planted", summary: "Planted.", body: api.Target{}, answer: api.Kicked{},
		do: func(*Admin, *query) (any, error) {
			n.Add(1)
			return api.Kicked{}, nil
		}}
}

// guarded is a stage with the planted change, and the table with it.
func guarded(t *testing.T, sets ...string) (st *stage, table []operation, changes *atomic.Int32) {
	t.Helper()
	changes = &atomic.Int32{}
	table = append(append([]operation{}, operations...), planted(changes))
	st = dark(t, sets...)
	st.a.table = newRoutes(table)
	st.a.limits.reads.SetLimit(1e6)
	st.a.limits.reads.SetBurst(1e6)
	st.a.limits.changes.SetLimit(1e6)
	st.a.limits.changes.SetBurst(1e6)
	if err := st.a.Start(); err != nil {
		t.Fatal(err)
	}
	return st, table, changes
}

// passed reports whether the guard let a request through, whatever the operation made of it.
func passed(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType, http.StatusMisdirectedRequest, http.StatusTooManyRequests:
		return false
	}
	return true
}

// through is what a case expects when it expects to be let in.
const through = 0

// guardCase is one way of asking, and what comes of it for the three kinds of operation.
type guardCase struct {
	name                  string
	edit                  func(r *http.Request)
	holder, local, anyone int
}

// guardCases are the lesson S23 in rows. PORT is that of the listener.
var guardCases = []guardCase{
	{"nothing special", nil, through, through, through},
	{"no token", withHeader("Authorization"), http.StatusUnauthorized, through, through},
	{"a wrong token", withHeader("Authorization", "Bearer "+api.TokenPrefix+"0123456789abcdef"), http.StatusUnauthorized, http.StatusUnauthorized, through},
	{"an empty token", withHeader("Authorization", "Bearer "), http.StatusUnauthorized, http.StatusUnauthorized, through},
	{"another scheme", withHeader("Authorization", "Basic YTpi"), http.StatusUnauthorized, http.StatusUnauthorized, through},
	{"two tokens", withHeader("Authorization", "Bearer a", "Bearer b"), http.StatusUnauthorized, http.StatusUnauthorized, through},
	{"the token and another", func(r *http.Request) { r.Header.Add("Authorization", "Bearer b") }, http.StatusUnauthorized, http.StatusUnauthorized, through},
	{"a proxy, no token", func(r *http.Request) {
		r.Header.Del("Authorization")
		r.Header.Set("X-Forwarded-For", "127.0.0.1")
	}, http.StatusUnauthorized, http.StatusUnauthorized, through},
	{"a proxy of another kind, no token", func(r *http.Request) {
		r.Header.Del("Authorization")
		r.Header.Set("X-Forwarded-Proto", "https")
	}, http.StatusUnauthorized, http.StatusUnauthorized, through},
	{"a proxy that hides, no token", func(r *http.Request) {
		r.Header.Del("Authorization")
		r.Host = "patchbay.internal"
	}, http.StatusUnauthorized, http.StatusUnauthorized, through},
	{"a proxy, the token", withHeader("X-Forwarded-For", "192.0.2.1"), through, through, through},

	{"Host localhost", withHeader("Host", "localhost:PORT"), through, through, through},
	{"Host in capitals, no port", withHeader("Host", "LocalHost"), through, through, through},
	{"Host with the root's dot", withHeader("Host", "localhost.:PORT"), through, through, through},
	{"Host IPv6", withHeader("Host", "[::1]:PORT"), through, through, through},
	{"Host of the loopback net", withHeader("Host", "127.0.0.1"), through, through, through},
	{"Host of the configuration", withHeader("Host", "patchbay.internal:8443"), through, through, through},
	{"Host of another", withHeader("Host", "evil.example:PORT"), http.StatusMisdirectedRequest, http.StatusMisdirectedRequest, http.StatusMisdirectedRequest},
	{"Host that looks like ours", withHeader("Host", "127.0.0.1.evil.example:PORT"), http.StatusMisdirectedRequest, http.StatusMisdirectedRequest, http.StatusMisdirectedRequest},
	{"Host below ours", withHeader("Host", "evil.localhost:PORT"), http.StatusMisdirectedRequest, http.StatusMisdirectedRequest, http.StatusMisdirectedRequest},
	{"Host with another port", withHeader("Host", "localhost:1"), http.StatusMisdirectedRequest, http.StatusMisdirectedRequest, http.StatusMisdirectedRequest},
	{"Host of all interfaces", withHeader("Host", "0.0.0.0:PORT"), http.StatusMisdirectedRequest, http.StatusMisdirectedRequest, http.StatusMisdirectedRequest},
	{"Host as a number", withHeader("Host", "2130706433:PORT"), http.StatusMisdirectedRequest, http.StatusMisdirectedRequest, http.StatusMisdirectedRequest},
	{"Host without a name", withHeader("Host", ":PORT"), http.StatusMisdirectedRequest, http.StatusMisdirectedRequest, http.StatusMisdirectedRequest},
	{"Host by a proxy's word", func(r *http.Request) {
		r.Host = "evil.example"
		r.Header.Set("X-Forwarded-Host", "localhost")
	}, http.StatusMisdirectedRequest, http.StatusMisdirectedRequest, http.StatusMisdirectedRequest},

	{"Origin ours", withHeader("Origin", "http://127.0.0.1:PORT"), through, through, through},
	{"Origin of a proxy", func(r *http.Request) {
		r.Host = "patchbay.internal"
		r.Header.Set("Origin", "https://patchbay.internal")
	}, through, through, through},
	{"Origin of another", withHeader("Origin", "http://evil.example"), http.StatusForbidden, http.StatusForbidden, http.StatusForbidden},
	{"Origin null", withHeader("Origin", "null"), http.StatusForbidden, http.StatusForbidden, http.StatusForbidden},
	{"Origin empty", withHeader("Origin", ""), http.StatusForbidden, http.StatusForbidden, http.StatusForbidden},
	{"Origin with another port", withHeader("Origin", "http://127.0.0.1:1"), http.StatusForbidden, http.StatusForbidden, http.StatusForbidden},
	{"Origin by another name of ours", withHeader("Origin", "http://localhost:PORT"), http.StatusForbidden, http.StatusForbidden, http.StatusForbidden},
	{"Origin with more", withHeader("Origin", "http://127.0.0.1:PORT/"), http.StatusForbidden, http.StatusForbidden, http.StatusForbidden},
	{"Origin of a user", withHeader("Origin", "http://evil@127.0.0.1:PORT"), http.StatusForbidden, http.StatusForbidden, http.StatusForbidden},
	{"Origin of another kind", withHeader("Origin", "file://127.0.0.1:PORT"), http.StatusForbidden, http.StatusForbidden, http.StatusForbidden},
	{"two Origins", withHeader("Origin", "http://127.0.0.1:PORT", "http://evil.example"), http.StatusForbidden, http.StatusForbidden, http.StatusForbidden},

	{"Sec-Fetch-Site same-origin", withHeader("Sec-Fetch-Site", "same-origin"), through, through, through},
	{"Sec-Fetch-Site none", withHeader("Sec-Fetch-Site", "none"), through, through, through},
	{"Sec-Fetch-Site same-site", withHeader("Sec-Fetch-Site", "same-site"), http.StatusForbidden, http.StatusForbidden, http.StatusForbidden},
	{"Sec-Fetch-Site cross-site", withHeader("Sec-Fetch-Site", "cross-site"), http.StatusForbidden, http.StatusForbidden, http.StatusForbidden},
	{"Sec-Fetch-Site twice", withHeader("Sec-Fetch-Site", "none", "cross-site"), http.StatusForbidden, http.StatusForbidden, http.StatusForbidden},
	{"a page of ours in name only", func(r *http.Request) {
		r.Header.Set("Origin", "http://"+r.URL.Host)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	}, http.StatusForbidden, http.StatusForbidden, http.StatusForbidden},
}

// want is what a case expects of an operation.
func (c *guardCase) want(o *operation) int {
	return map[who]int{holder: c.holder, local: c.local, anyone: c.anyone}[o.who]
}

// put fills in the port of the listener, which no table knows.
func put(r *http.Request, addr string) {
	_, port, _ := net.SplitHostPort(addr)
	r.Host = strings.ReplaceAll(r.Host, "PORT", port)
	for _, values := range r.Header {
		for i := range values {
			values[i] = strings.ReplaceAll(values[i], "PORT", port)
		}
	}
}

// TestGuard asks every operation in every way.
func TestGuard(t *testing.T) {
	st, table, _ := guarded(t, "admin.hosts=[patchbay.internal]")
	st.a.opt.Metrics = http.NotFoundHandler()
	for i := range table {
		o := &table[i]
		u, ok := usual[o.id]
		if !ok {
			t.Errorf("%s has no usual request: add one to the test", o.id)
			continue
		}
		for _, c := range guardCases {
			st.forgive()
			r := st.request(o.method, o.path+u.query, u.body, st.withToken)
			if c.edit != nil {
				c.edit(r)
			}
			put(r, st.a.HTTPAddr())
			got := st.send(r)
			if want := c.want(o); want == through && !passed(got.StatusCode) || want != through && got.StatusCode != want {
				t.Errorf("%s, %s: %s %s", o.id, c.name, got.Status, got.text)
			}
			st.decent(got)
		}
	}
}

// forgive forgets the wrong tokens that a test has shown.
func (st *stage) forgive() {
	st.a.limits.mu.Lock()
	defer st.a.limits.mu.Unlock()
	clear(st.a.limits.suspects)
}

// decent checks what every answer has, and what none has.
func (st *stage) decent(got answer) {
	st.t.Helper()
	for name, value := range everyAnswer {
		if got.Header.Get(name) != value {
			st.t.Errorf("%s: %s is %q", got.Request.URL, name, got.Header.Get(name))
		}
	}
	for name := range got.Header {
		if strings.HasPrefix(name, "Access-Control-") || name == "Location" || name == "Server" {
			st.t.Errorf("%s: the answer has %s", got.Request.URL, name)
		}
	}
	if got.StatusCode == http.StatusUnauthorized && got.Header.Get("Www-Authenticate") == "" {
		st.t.Errorf("%s: 401 without WWW-Authenticate", got.Request.URL)
	}
}

// TestGuardMethods asks every path by methods that it has not.
func TestGuardMethods(t *testing.T) {
	st, table, changes := guarded(t)
	for _, o := range table {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "PROPFIND"} {
			has := st.a.table[o.path]
			if has[method] != nil || method == "HEAD" && has["GET"] != nil && has["GET"].media != mediaNDJSON {
				continue
			}
			got := st.ask(method, o.path+usual[o.id].query, usual[o.id].body, st.withToken, withHeader("Content-Type", mediaJSON))
			if got.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(got.Header.Get("Allow"), o.method) {
				t.Errorf("%s %s: %s, Allow %q", method, o.path, got.Status, got.Header.Get("Allow"))
			}
			st.decent(got)
		}
	}
	if changes.Load() > 0 {
		t.Error("something was changed")
	}
}

// TestGuardMedia sends every change as what a browser may send to another origin unasked, and as other things.
func TestGuardMedia(t *testing.T) {
	st, table, changes := guarded(t)
	for _, o := range table {
		if o.method != http.MethodPost {
			continue
		}
		for _, media := range [][]string{{}, {""}, {"text/plain"}, {"application/x-www-form-urlencoded"}, {"multipart/form-data; boundary=x"},
			{"text/json"}, {"application/json-patch+json"}, {"application/json; charset=utf-16"}, {"text/plain, application/json"}, {"text/plain; application/json"},
			{"application/json", "text/plain"}, {"application/json;;;"}, {"application/problem+json"}} {
			got := st.ask(o.method, o.path, usual[o.id].body, st.withToken, withHeader("Content-Type", media...))
			if got.StatusCode != http.StatusUnsupportedMediaType {
				t.Errorf("%s as %q: %s", o.id, media, got.Status)
			}
		}
		got := st.ask(o.method, o.path, usual[o.id].body, st.withToken, withHeader("Content-Encoding", "gzip"))
		if got.StatusCode != http.StatusUnsupportedMediaType {
			t.Errorf("%s packed: %s", o.id, got.Status)
		}
	}
	if changes.Load() > 0 {
		t.Error("something was changed")
	}
	for _, media := range []string{"application/json", "Application/JSON; charset=UTF-8"} {
		if got := st.ask("POST", api.Prefix+"/planted", `{"node":"x"}`, st.withToken, withHeader("Content-Type", media)); got.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", media, got.Status)
		}
	}
}

// spellings turn a path into one that means the same to those who decode, clean or fold, and nothing to us.
var spellings = []func(path string) string{
	func(p string) string { return "/" + p },
	func(p string) string { return p + "/" },
	func(p string) string { return p + "/." },
	func(p string) string { return "/." + p },
	func(p string) string { return "/x/.." + p },
	func(p string) string { return "/setup/..%2f.." + p },
	func(p string) string { return "/healthz/.." + p },
	func(p string) string { return "/healthz/%2e%2e" + p },
	func(p string) string { return "/healthz/..%2f" + p[1:] },
	func(p string) string { return "/healthz;" + p },
	func(p string) string { return "/healthz/..;" + p },
	func(p string) string { return "/healthz/%u002e%u002e" + p },
	func(p string) string { return "/healthz/\xc0\xae\xc0\xae" + p },
	func(p string) string { return "/healthz/%c0%ae%c0%ae" + p },
	func(p string) string { return "/healthz/%ef%bc%8e%ef%bc%8e" + p },
	func(p string) string { return strings.ReplaceAll(p, "/", "%2f") },
	func(p string) string { return strings.ReplaceAll(p, "/", "\\") },
	func(p string) string { return p[:1] + fmt.Sprintf("%%%02x", p[1]) + p[2:] },
	func(p string) string { return strings.ToUpper(p) },
	func(p string) string { return p + "%00" },
	func(p string) string { return p + "%20" },
	func(p string) string { return p + ";x=y" },
	func(p string) string { return p + "#x" },
	func(p string) string { return p + ".json" },
	func(p string) string { return "http://127.0.0.1" + p },
	func(p string) string { return "http://evil.example" + p },
	func(p string) string { return "https:" + p },
	func(string) string { return "*" },
	func(string) string { return "/" },
	func(p string) string { return "/api/v1" + p },
}

// TestGuardTraversal asks every operation by other spellings of its path (CVE-2023-32315): there is nothing there, and
// nobody is sent elsewhere.
func TestGuardTraversal(t *testing.T) {
	st, table, changes := guarded(t)
	for _, o := range table {
		for _, spell := range spellings {
			target := spell(o.path)
			if st.a.table[target] != nil {
				continue
			}
			status, head := st.raw(o.method + " " + target + " HTTP/1.1\r\nHost: " + st.a.HTTPAddr() + "\r\nAuthorization: Bearer " + st.token +
				"\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
			absent := status == http.StatusNotFound || status == http.StatusBadRequest || status == http.StatusMisdirectedRequest
			if !absent || strings.Contains(head, "\nLocation:") {
				t.Errorf("%s %q: %d", o.method, target, status)
			}
		}
	}
	if changes.Load() > 0 {
		t.Error("something was changed")
	}
}

// raw sends bytes as they are and gives the status and the head of the answer.
func (st *stage) raw(text string) (status int, head string) {
	st.t.Helper()
	nc, err := net.Dial("tcp", st.a.HTTPAddr())
	if err != nil {
		st.t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(nc, text); err != nil {
		st.t.Fatal(err)
	}
	all, err := io.ReadAll(bufio.NewReader(nc))
	if err != nil && len(all) == 0 {
		st.t.Fatal(err)
	}
	head, _, _ = strings.Cut(string(all), "\r\n\r\n")
	if _, err := fmt.Sscanf(head, "HTTP/1.1 %d", &status); err != nil {
		st.t.Fatalf("%q: %v", text, err)
	}
	return status, head
}
