package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/internal/admin/api"
)

// invoked is what a run of the command left.
type invoked struct {
	out, err string
	code     int
}

// invoke runs the command as a script would: nothing is a terminal.
func invoke(t *testing.T, args ...string) invoked {
	t.Helper()
	var out, errs bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(strings.NewReader(""))
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetContext(t.Context())
	code := run(root)
	return invoked{out.String(), errs.String(), code}
}

// fixed is an admin API with answers that never change.
type fixed struct {
	url     string
	answers map[string]any // by METHOD path

	mu    sync.Mutex
	asked []string // guarded by mu; METHOD path?query body
}

// serveFixed starts it. A value of *api.Error is an error, a function is called.
func serveFixed(t *testing.T, answers map[string]any) *fixed {
	t.Helper()
	f := &fixed{answers: answers}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	f.url = s.URL
	t.Setenv("PATCHBAY_URL", s.URL)
	t.Setenv("PATCHBAY_TOKEN", "patchbay-admin-of-tests")
	return f
}

func (f *fixed) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	f.mu.Lock()
	f.asked = append(f.asked, strings.TrimSpace(req.Method+" "+req.URL.String()+" "+string(body)))
	f.mu.Unlock()
	v, ok := f.answers[req.Method+" "+req.URL.Path]
	if !ok {
		v = &api.Error{Code: api.CodeNotFound, Message: "no \x1b[31msuch thing", Mend: "ask for another"}
	}
	if h, ok := v.(http.HandlerFunc); ok {
		h(w, req)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if _, bad := v.(*api.Error); bad {
		w.WriteHeader(http.StatusConflict)
	}
	_ = json.NewEncoder(w).Encode(v)
}

// got gives what was asked, and forgets it.
func (f *fixed) got() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := strings.Join(f.asked, "\n")
	f.asked = nil
	return all
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func fixedAnswers() map[string]any {
	node := api.Node{Domain: "node1.im.example", State: api.StateAttached, Links: 1, LinksMax: 1, Sessions: 182_401, Grade: "written", Since: noon}
	return map[string]any{
		"GET " + api.PathStatus:   api.Status{Server: "hub1.im.example", Health: api.Failed, Time: noon, Sessions: 7},
		"GET " + api.PathNodes:    api.Nodes{Time: noon, Nodes: []api.Node{node}},
		"GET " + api.PathLinks:    api.Links{Time: noon, Links: []api.Link{{ID: 7, Node: "node1.im.example", Peer: "127.0.0.1:9", State: "attached", Since: noon}}},
		"GET " + api.PathSessions: api.Sessions{Time: noon, Count: 2},
		"GET " + api.PathWhere:    api.Where{Time: noon, JID: "bob@im.example", Answer: "offline"},
		"GET " + api.PathOutcomes: api.Outcomes{Time: noon, SinceSeconds: 300},
		"GET " + api.PathExplain:  api.Explanation{Time: noon, Kind: "message", Type: "chat", From: "a@im.example", To: "b@im.example", Verdict: api.Verdict{Action: "bounce", Text: "nobody is there"}},
		"GET " + api.PathDoctor:   api.Doctor{Server: "hub1.im.example", Time: noon, State: api.Failed, Checks: []api.Finding{{Check: "ledger", State: api.Failed, Message: "2 stanzas are missing"}}},
		"GET " + api.PathDrain:    api.Drained{Node: "node1.im.example", Draining: true, Safe: true},
		"POST " + api.PathDrain:   api.Drained{Node: "node1.im.example", Draining: true, Queue: 3, Sessions: 9},
		"POST " + api.PathUndrain: api.Drained{Node: "node1.im.example"},
		"POST " + api.PathKick:    api.Kicked{Sessions: 2},
		"POST " + api.PathReload:  api.Reloaded{File: api.ConfigFile{File: "p.yaml"}, Changes: []api.Change{{Path: "timers.grace", Old: "30s", New: "9s", Applied: true}}},
		"POST " + api.PathSecret:  api.Secret{Domain: "node7.im.example", Under: "*.im.example", Secret: "s3cr3t"},
		"GET " + api.PathTap: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-ndjson")
			for i := range 2 {
				fmt.Fprintf(w, `{"time":"2026-11-22T12:00:00Z","kind":"message","type":"chat","id":"m%d","from":"a@im.example","to":"b@im.example","action":"deliver","lost":%d}`+"\n", i, i*3)
			}
		}),
	}
}

// TestCtl runs each verb against fixed answers.
func TestCtl(t *testing.T) {
	f := serveFixed(t, fixedAnswers())
	for _, c := range []struct {
		args  string
		asked string // all of it, but for the prefix of the paths
		out   string // a part
		err   string // a part; "" is silence
		code  int
	}{
		{"status", "GET /status", "hub1.im.example   FAILED", "", 0},
		{"nodes", "GET /nodes", "node1.im.example  attached  1/1     182,401", "", 0},
		{"nodes node1.im.example", "GET /nodes?domain=node1.im.example", "sessions   182,401", "", 0},
		{"links", "GET /links", "127.0.0.1:9", "", 0},
		{"links --closed", "GET /links?closed=true", "", "", 0},
		{"sessions", "GET /sessions?limit=100", "2 sessions", "", 0},
		{"sessions --node n.im.example --user b@im.example --limit 5 --count", "GET /sessions?count=true&limit=5&node=n.im.example&user=b%40im.example", "2 sessions\n", "", 0},
		{"where bob@im.example", "GET /where?jid=bob%40im.example", "bob@im.example is offline\n", "", 0},
		{"outcomes", "GET /outcomes?since=5m0s", "last 5 min", "", 0},
		{"outcomes --since 1h --node n --reason no-session", "GET /outcomes?node=n&reason=no-session&since=1h0m0s", "", "", 0},
		{"explain --from a@im.example --to b@im.example --type chat", "GET /explain?from=a%40im.example&kind=message&to=b%40im.example&type=chat", "VERDICT  bounce: nobody is there", "", 0},
		{"doctor", "GET /doctor", "failed   ledger  2 stanzas are missing", "", 1},
		{"doctor -o json", "GET /doctor", `"state": "failed"`, "", 1},
		{"doctor -o nagios", "GET /doctor", "PATCHBAY CRITICAL - hub1.im.example: 2 stanzas are missing | failed=1 warning=0 ok=0\n", "", 2},
		{"tap b@im.example --for 1m --count 2 --body", "GET /tap?body=true&count=2&for=1m0s&match=b%40im.example", "a@im.example -> b@im.example", "taps http://127.0.0.1", 0},
		{"tap -o json", "GET /tap", `"id":"m1"`, "stanzas shown: 2, passed over: 3\n", 0},
		{"drain node1.im.example --yes --timeout 0", `POST /drain {"node":"node1.im.example"}`, "node1.im.example is draining   9 sessions   3 stanzas in its queue\n", "", 0},
		{"drain node1.im.example --yes", `POST /drain {"node":"node1.im.example"}` + "\nGET /drain?node=node1.im.example", "safe to stop", "is draining", 0},
		{"drain --server --yes -o json", `POST /drain {"server":true}` + "\nGET /drain?server=true", `"safe": true`, "is draining", 0},
		{"undrain node1.im.example -y", `POST /undrain {"node":"node1.im.example"}`, "takes new sessions", "", 0},
		{"kick bob@im.example --reason x --yes", `POST /kick {"target":"bob@im.example","reason":"x"}`, "bob@im.example: ended 2 sessions\n", "", 0},
		{"reload --yes", "POST /reload {}", "p.yaml: 1 change applied\n  applied  timers.grace: 30s -> 9s\n", "", 0},
		{"secret node7.im.example", `POST /secret {"domain":"node7.im.example"}`, "s3cr3t\n", "under nodes[*.im.example]", 0},
		{"status -o json", "GET /status", "\"health\": \"failed\",\n", "", 0},
		{"nodes -o wide", "GET /nodes", "TAKES", "", 0},
	} {
		got := invoke(t, append([]string{"ctl"}, strings.Fields(c.args)...)...)
		asked := strings.ReplaceAll(f.got(), api.Prefix, "")
		if got.code != c.code || !strings.Contains(got.out, c.out) || !strings.Contains(got.err, c.err) || c.err == "" && got.err != "" || asked != c.asked {
			t.Errorf("ctl %s: exit %d\nasked  %s\nstdout %s\nstderr %s", c.args, got.code, asked, got.out, got.err)
		}
	}
}

// TestCtlWrongUse: two lines, exit 2, and nobody is asked.
func TestCtlWrongUse(t *testing.T) {
	f := serveFixed(t, fixedAnswers())
	for args, want := range map[string]string{
		"ctl stauts":                    `patchbay ctl has no verb "stauts"; did you mean status?`,
		"ctl nods":                      `patchbay ctl has no verb "nods"; did you mean nodes?`,
		"ctl foo":                       "patchbay ctl has no verb \"foo\"\n",
		"ctl status x":                  `patchbay ctl status takes no "x"`,
		"ctl where":                     "patchbay ctl where needs JID",
		"ctl where a b":                 `patchbay ctl where takes JID only, and not "b"`,
		"ctl nodes -o yaml":             "-o is table, wide or json, not \"yaml\"",
		"ctl doctor -o table2":          "-o is text, json or nagios",
		"ctl sessions --limit 0":        "--limit is 1 or more",
		"ctl outcomes --since 1ms":      "--since is 1s or more",
		"ctl explain --from a":          `required flag(s) "to" not set`,
		"ctl drain node1":               "say --yes where nobody can be asked",
		"ctl undrain node1":             "say --yes",
		"ctl kick node1":                "say --yes",
		"ctl reload":                    "say --yes",
		"ctl drain --yes":               "name a NODE, or say --server",
		"ctl drain a --server --yes":    "not both",
		"ctl top --sort name":           "--sort is queue, in, out, sessions",
		"ctl tap --count -1":            "--count is 1 or more",
		"ctl status --url ftp://x":      "is no URL of http or https",
		"ctl status --ulr x":            "unknown flag: --ulr",
		"stauts":                        `patchbay has no verb "stauts"`,
		"drain node1":                   `patchbay has no verb "drain"; did you mean ctl drain?`,
		"help status":                   `there is no verb or topic "status"; did you mean ctl status?`,
		"ctl status --url http://a:b@c": "ps shows to others",
	} {
		got := invoke(t, strings.Fields(args)...)
		verb := strings.Fields(args)
		see := "patchbay help ctl"
		if verb[0] != "ctl" {
			see = "patchbay help"
		}
		lines := strings.Split(strings.TrimSuffix(got.err, "\n"), "\n")
		if got.code != exitUsage || got.out != "" || len(lines) != 2 || !strings.Contains(lines[0]+"\n", want) || !strings.HasPrefix(lines[1], "see: "+see) || f.got() != "" {
			t.Errorf("%s: exit %d, %q, %q", args, got.code, got.out, got.err)
		}
	}
	t.Setenv("PATCHBAY_TOKEN", "@/no/such/file")
	if got := invoke(t, "ctl", "reload", "--yes"); got.code != exitUsage || !strings.Contains(got.err, "PATCHBAY_TOKEN") {
		t.Errorf("a token that is not there: %+v", got)
	}
}

// TestCtlFailures are the exit codes 1 and 3.
func TestCtlFailures(t *testing.T) {
	faults := &api.Error{Code: api.CodeConflict, Message: "the file has 1 fault", Faults: []api.Fault{{File: "p.yaml", Line: 3, Column: 8, Message: "users must be a list", Text: "p.yaml:3:8 users must be a list"}}}
	f := serveFixed(t, map[string]any{
		"POST " + api.PathReload: faults,
		"POST " + api.PathDrain:  api.Drained{Node: "n", Draining: true, Queue: 3},
		"GET " + api.PathDrain:   api.Drained{Node: "n", Draining: true, Queue: 2},
		"GET " + api.PathStatus:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }),
		"POST " + api.PathKick:   &api.Error{Code: api.CodeUnauthorized, Message: "the token is another one", Mend: "see data/admin.token"},
	})
	for _, c := range []struct {
		args, out, err string
		code           int
	}{
		{"nodes x", "", `patchbay: no \x1b[31msuch thing (ask for another)` + "\n", 1},
		{"kick n --yes", "", "patchbay: the token is another one (see data/admin.token)\n", 1},
		{"reload --yes", "not applied: 1 fault; the configuration of before acts on\n  p.yaml:3:8 users must be a list\n", "", 1},
		{"reload --yes -o json", `"line": 3`, "", 1},
		{"drain n --yes --timeout 10ms", "n is draining   0 sessions   3 stanzas in its queue\n", "not safe to stop after 10ms: 3 stanzas left; the drain goes on, and ends with patchbay ctl undrain n", 1},
		{"status", "", "patchbay: no answer of a server at " + f.url + ": something else answers there (HTTP 200, text/html", 3},
		{"status --watch", "", "something else answers there", 3},
		{"top", "", "something else answers there", 3},
		{"doctor -o nagios --url 127.0.0.1:" + deadPort(t), "PATCHBAY UNKNOWN - no answer of a server", "", 3},
		{"nodes --url 127.0.0.1:" + deadPort(t), "", "nobody listens there (start one with patchbay serve", 3},
	} {
		got := invoke(t, append([]string{"ctl"}, strings.Fields(c.args)...)...)
		if got.code != c.code || !strings.HasPrefix(got.out, c.out) && !strings.Contains(got.out, c.out) || !strings.Contains(got.err, c.err) || c.err == "" && got.err != "" {
			t.Errorf("ctl %s: exit %d\nstdout %s\nstderr %s", c.args, got.code, got.out, got.err)
		}
	}
}

// deadPort is a port on which nobody listens.
func deadPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	_ = ln.Close()
	return port
}
