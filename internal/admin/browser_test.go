package admin

import (
	"net"
	"net/http"
	"strings"
	"testing"
)

// page is a request that a page of another origin can make a browser send, with the headers that browsers set and that
// pages cannot.
type page struct {
	name, method, body string
	head               map[string]string
}

// pages are the ways of a page to ask: a form, an image, fetch without and with CORS, a beacon, and a name that stands
// for this machine since a moment ago.
var pages = []page{
	{"a form", "POST", "{\"node\":\"x\",\"y=\":\"\"}", map[string]string{"Content-Type": "text/plain", "Origin": "http://evil.example",
		"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}},
	{"a form of an old browser", "POST", "{\"node\":\"x\",\"y=\":\"\"}", map[string]string{"Content-Type": "text/plain"}},
	{"a form in a sandbox", "POST", "node=x", map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Origin": "null", "Sec-Fetch-Site": "cross-site"}},
	{"an image", "GET", "", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image", "Referer": "http://evil.example/"}},
	{"fetch without CORS", "POST", `{"node":"x"}`, map[string]string{"Content-Type": "text/plain;charset=UTF-8", "Origin": "http://evil.example",
		"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}},
	{"what CORS asks before", "OPTIONS", "", map[string]string{"Origin": "http://evil.example", "Access-Control-Request-Method": "POST",
		"Access-Control-Request-Headers": "authorization,content-type", "Access-Control-Request-Private-Network": "true", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}},
	{"fetch with CORS, not asked before", "POST", `{"node":"x"}`, map[string]string{"Content-Type": "application/json", "Origin": "http://evil.example",
		"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}},
	{"a beacon", "POST", `{"node":"x"}`, map[string]string{"Content-Type": "text/plain;charset=UTF-8", "Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}},
	{"another port of this machine", "POST", `{"node":"x"}`, map[string]string{"Content-Type": "application/json", "Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"}},
	{"a name that was bent", "POST", `{"node":"x"}`, map[string]string{"Host": "evil.example:PORT", "Content-Type": "application/json", "Origin": "http://evil.example:PORT", "Sec-Fetch-Site": "same-origin"}},
	{"a name that was bent, reading", "GET", "", map[string]string{"Host": "evil.example:PORT", "Sec-Fetch-Site": "same-origin"}},
	{"a WebSocket", "GET", "", map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
		"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}},
}

// TestForeignPages lets a page of another origin try every operation: it changes nothing, and reads nothing that another
// program of the browser's machine could not. Even where the browser knows the token, which it never does.
func TestForeignPages(t *testing.T) {
	st, table, changes := guarded(t)
	_, port, _ := net.SplitHostPort(st.a.HTTPAddr())
	for _, o := range table {
		for _, p := range pages {
			for _, token := range []bool{false, true} {
				st.forgive()
				r := st.request(p.method, o.path+usual[o.id].query, p.body)
				r.Header.Del("Content-Type")
				if token {
					st.withToken(r)
				}
				for name, value := range p.head {
					withHeader(name, strings.ReplaceAll(value, "PORT", port))(r)
				}
				got := st.send(r)
				if got.StatusCode < http.StatusBadRequest {
					t.Errorf("%s, %s, token %v: %s", o.id, p.name, token, got.Status)
				}
				st.decent(got)
			}
		}
	}
	if changes.Load() > 0 {
		t.Error("something was changed")
	}
}
