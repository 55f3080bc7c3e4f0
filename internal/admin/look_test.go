package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/component"
	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/storage"
)

// refuse lets a node be refused for a wrong secret.
func (st *stage) refuse(domain string) {
	st.t.Helper()
	ctx, cancel := context.WithTimeout(st.t.Context(), patience)
	defer cancel()
	n, err := component.Dial(ctx, component.Config{Addrs: []string{st.s.ComponentAddr()}, Domain: domain, Secret: "not-the-secret-of-it",
		Backoff: component.Backoff{Min: time.Hour, Max: time.Hour}})
	if err == nil {
		n.Close()
		st.t.Fatal("a wrong secret is taken")
	}
	st.eventually("the refusal is remembered", func() bool {
		for _, l := range st.s.Closed() {
			if l.Node == domain {
				return true
			}
		}
		return false
	})
}

// eventually waits for what another goroutine does.
func (st *stage) eventually(what string, done func() bool) {
	st.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			st.t.Fatalf("not within %v: %s\n%s", patience, what, st.log)
		}
	}
}

// read asks and decodes.
func read[T any](st *stage, target string, edits ...func(*http.Request)) T {
	st.t.Helper()
	got := st.ask(http.MethodGet, target, "", edits...)
	return decoded[T](st, got)
}

// change asks for a change with the token.
func change[T any](st *stage, target, body string, edits ...func(*http.Request)) T {
	st.t.Helper()
	got := st.ask(http.MethodPost, target, body, append(edits, st.withToken)...)
	return decoded[T](st, got)
}

func decoded[T any](st *stage, got answer) T {
	st.t.Helper()
	var v T
	if err := json.Unmarshal([]byte(got.text), &v); err != nil || got.StatusCode != http.StatusOK {
		st.t.Fatalf("%s: %s %s %v", got.Request.URL, got.Status, got.text, err)
	}
	return v
}

// TestStatus asks a server with two nodes, one of which goes.
func TestStatus(t *testing.T) {
	st := newStage(t, "timers.grace=1h")
	st.attach("node1.im.example", "alice@im.example/phone")
	two := st.attach("node2.im.example", "bob@im.example/web")
	v := read[api.Status](st, api.PathStatus)
	if v.Server != hub || v.Version != "1.2.3" || v.Health != api.OK || !v.Ready || !v.ViewComplete || v.Draining {
		t.Errorf("%+v", v)
	}
	if v.Nodes != (api.NodeCounts{Attached: 2}) || v.Links != 2 || v.Sessions != 2 || v.Ledger.Off != 0 || len(v.Wrong) != 0 {
		t.Errorf("%+v", v)
	}
	if v.Listen.HTTP != st.a.HTTPAddr() || v.Listen.Component != st.s.ComponentAddr() || v.Listen.Metrics != "" || v.Disk == nil || v.Disk.FreeBytes == 0 {
		t.Errorf("%+v", v)
	}
	if v.Memory.ResidentBytes == 0 || v.Memory.HeapBytes == 0 || v.UptimeSeconds > 60 || v.Time.Location() != time.UTC {
		t.Errorf("%+v", v)
	}
	if v.TokenFile != st.a.token.file {
		t.Errorf("the token lies at %q", v.TokenFile)
	}
	if far := read[api.Status](st, api.PathStatus, st.withToken, withHeader("X-Forwarded-For", "192.0.2.1")); far.TokenFile != "" {
		t.Error("who is not on this machine is told where the token lies")
	}
	two.Close()
	st.eventually("node2 is away", func() bool { return read[api.Status](st, api.PathStatus).Nodes.Away == 1 })
	v = read[api.Status](st, api.PathStatus)
	if v.Health != api.Failed || len(v.Wrong) != 1 || v.Wrong[0].Check != "node-away" || v.Wrong[0].Node != "node2.im.example" ||
		!strings.Contains(v.Wrong[0].Message, "its session ends too") || v.Wrong[0].Mend == "" {
		t.Errorf("%+v", v.Wrong)
	}
	if n := read[api.Nodes](st, api.PathNodes+"?domain=node2.im.example"); len(n.Nodes) != 1 || n.Nodes[0].State != api.StateAway || n.Nodes[0].GraceEndsAt == nil || len(n.Wrong) != 1 {
		t.Errorf("%+v", n)
	}
}

// TestSessions lists by node, by user, and up to a limit.
func TestSessions(t *testing.T) {
	st := newStage(t)
	st.attach("node1.im.example", "alice@im.example/phone", "alice@im.example/web", "bob@im.example/web")
	st.attach("node2.im.example", "alice@im.example/tv")
	for _, c := range []struct {
		query string
		count int
		list  string
	}{
		{"", 4, "alice@im.example/phone alice@im.example/tv alice@im.example/web bob@im.example/web"},
		{"?count=true", 4, ""},
		{"?node=node1.im.example", 3, "alice@im.example/phone alice@im.example/web bob@im.example/web"},
		{"?user=alice@im.example", 3, "alice@im.example/phone alice@im.example/tv alice@im.example/web"},
		{"?user=ALICE@im.example/phone", 1, "alice@im.example/phone"},
		{"?user=alice@im.example&node=node2.im.example", 1, "alice@im.example/tv"},
		{"?user=alice@im.example&limit=2", 3, "alice@im.example/phone alice@im.example/tv"},
		{"?user=carol@im.example", 0, ""},
	} {
		v := read[api.Sessions](st, api.PathSessions+c.query)
		var list []string
		for _, x := range v.Sessions {
			list = append(list, x.JID)
			if x.State != api.StateAttached || x.Server != hub || !strings.HasPrefix(x.Node, "node") || x.Since.IsZero() {
				t.Errorf("%+v", x)
			}
		}
		if got := strings.Join(list, " "); got != c.list || v.Count != c.count {
			t.Errorf("%s: %d, %s", c.query, v.Count, got)
		}
	}
	if v := read[api.Sessions](st, api.PathSessions+"?limit=1"); len(v.Sessions) != 1 || v.Count != 4 {
		t.Errorf("%+v", v)
	}
}

// TestWhere: the four answers, what ended, and what is stored.
func TestWhere(t *testing.T) {
	for _, c := range []struct {
		sessions []api.Session
		complete bool
		want     string
	}{
		{nil, true, answerOffline},
		{nil, false, answerUnknown},
		{[]api.Session{{State: api.StateAway}}, false, answerAway},
		{[]api.Session{{State: api.StateAway}, {State: api.StateDraining}}, false, answerOnline},
		{[]api.Session{{State: api.StateAttached}}, true, answerOnline},
	} {
		if got := fourfold(c.sessions, c.complete); got != c.want {
			t.Errorf("%+v, %v: %s", c.sessions, c.complete, got)
		}
	}
	st := newStage(t, "offline.policy=store")
	st.attach("node1.im.example", "alice@im.example/phone", "alice@im.example/web")
	v := read[api.Where](st, api.PathWhere+"?jid=alice@im.example")
	if v.Answer != answerOnline || len(v.Sessions) != 2 || v.Sessions[0].JID != "alice@im.example/phone" || len(v.Ended) != 0 {
		t.Errorf("%+v", v)
	}
	change[api.Kicked](st, api.PathKick, `{"target":"alice@im.example/web"}`)
	v = read[api.Where](st, api.PathWhere+"?jid=alice@im.example")
	if len(v.Sessions) != 1 || len(v.Ended) != 1 || v.Ended[0].JID != "alice@im.example/web" || v.Ended[0].Node != "node1.im.example" || v.Ended[0].Why == "" {
		t.Errorf("%+v", v)
	}
	if v := read[api.Where](st, api.PathWhere+"?jid=alice@im.example/web"); v.Answer != answerOffline || len(v.Ended) != 1 {
		t.Errorf("%+v", v)
	}
	if _, err := st.s.Offline().Put([]byte("carol@im.example"), 1, []byte("<message/>"), storage.Keep{}); err != nil {
		t.Fatal(err)
	}
	if v := read[api.Where](st, api.PathWhere+"?jid=carol@im.example/any"); v.Answer != answerOffline || v.Stored != 1 {
		t.Errorf("%+v", v)
	}
}

// TestConfig: secrets are bullets for everybody, and have a print for who shows the token.
func TestConfig(t *testing.T) {
	st := newStage(t)
	open := st.ask(http.MethodGet, api.PathConfig, "")
	shown := st.ask(http.MethodGet, api.PathConfig, "", st.withToken)
	for _, got := range []answer{open, shown} {
		if strings.Contains(got.text, house) || !strings.Contains(got.text, "••••••••") {
			t.Errorf("%s", got.text)
		}
	}
	prints := func(got answer) (all []string) {
		for _, k := range decoded[api.Config](st, got).Keys {
			if k.Print != "" {
				all = append(all, k.Path+"="+k.Print)
			}
		}
		return all
	}
	if got := prints(open); len(got) != 0 {
		t.Errorf("without the token: %v", got)
	}
	got := prints(shown)
	if len(got) != 1 || !strings.HasPrefix(got[0], "nodes[*.im.example].secret=") || len(got[0]) != len("nodes[*.im.example].secret=")+16 {
		t.Errorf("with it: %v", got)
	}
	if err := os.WriteFile(st.a.token.file, []byte(api.TokenPrefix+"another-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	st.token = api.TokenPrefix + "another-token"
	if again := prints(st.ask(http.MethodGet, api.PathConfig, "", st.withToken)); again[0] == got[0] {
		t.Error("the print does not depend on the token: it can be looked up")
	}
}

// TestExplain: the verdict is the router's, and the reason is counted where it really happened.
func TestExplain(t *testing.T) {
	st := newStage(t)
	n := st.attach("node1.im.example", "alice@im.example/phone")
	ask := api.PathExplain + "?from=alice@im.example/phone&type=chat&to="
	v := read[api.Explanation](st, ask+"alice@im.example")
	if v.Verdict.Action != "deliver" || v.Verdict.Row != 4 || v.Verdict.Copies != 1 || v.Recent != nil || len(v.Rows) != 4 || !v.Rows[3].Matched ||
		len(v.Sessions) != 1 || !v.Sessions[0].Copy || v.Sessions[0].Grade != st.s.Router().Node(v.Sessions[0].Node).Grade().String() || v.Sessions[0].Grade == "" || v.Origin.Node != "node1.im.example" || !v.Origin.Allowed ||
		len(v.Verdict.Targets) != 1 || v.Verdict.Targets[0].Node != "node1.im.example" {
		t.Errorf("%+v", v)
	}
	v = read[api.Explanation](st, ask+"carol@im.example")
	if v.Verdict.Action != "bounce" || v.Verdict.Reason != "no-session" || v.Verdict.Error != "cancel/service-unavailable" || v.Recent == nil || v.Recent.Count != 0 {
		t.Errorf("%+v", v)
	}
	for range 3 {
		if err := n.Send(t.Context(), chat("alice@im.example/phone", "carol@im.example")); err != nil {
			t.Fatal(err)
		}
	}
	st.eventually("three bounces are counted", func() bool { return read[api.Explanation](st, ask+"carol@im.example").Recent.Count == 3 })
	for _, query := range []string{"", "?node=node1.im.example", "?reason=no-session"} {
		o := read[api.Outcomes](st, api.PathOutcomes+query)
		if len(o.Reasons) != 1 || o.Reasons[0].Reason != "no-session" || o.Reasons[0].Total != 3 || o.Reasons[0].Recent != 3 || o.Reasons[0].Outcome != "bounced" ||
			o.Reasons[0].Error != "cancel/service-unavailable" || o.Reasons[0].Mend == "" || o.Accepted < 3 || o.Recent < 3 {
			t.Errorf("%s: %+v", query, o)
		}
		if whole := o.Ledger != nil; whole != (query != "?node=node1.im.example") || whole && o.Ledger.Bounced != 3 {
			t.Errorf("%s: %+v", query, o.Ledger)
		}
	}
	if o := read[api.Outcomes](st, api.PathOutcomes+"?reason=queue-full"); len(o.Reasons) != 1 || o.Reasons[0].Total != 0 {
		t.Errorf("a reason that never happened: %+v", o.Reasons)
	}
}
