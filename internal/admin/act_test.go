package admin

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/component"
	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/config"
)

// TestDrain: a drain is told at once, again and again, and taken back; that of the server makes it not ready.
func TestDrain(t *testing.T) {
	st := newStage(t)
	st.attach("node1.im.example", "alice@im.example/phone")
	const node = `{"node":"node1.im.example"}`
	st.eventually("the answer to the announce is counted as written", func() bool {
		return read[api.Drained](st, api.PathDrain+"?server=true").Queue == 0
	})
	if v := read[api.Drained](st, api.PathDrain+"?node=node1.im.example"); v.Draining || v.Safe || v.Sessions != 1 {
		t.Errorf("before: %+v", v)
	}
	for range 2 {
		if v := change[api.Drained](st, api.PathDrain, node); !v.Draining || v.Safe || v.Node != "node1.im.example" || v.Sessions != 1 {
			t.Errorf("drained: %+v", v)
		}
	}
	if v := read[api.Nodes](st, api.PathNodes); v.Nodes[0].State != api.StateDraining {
		t.Errorf("%+v", v.Nodes)
	}
	if v := read[api.Drained](st, api.PathDrain+"?node=NODE1.im.Example."); !v.Draining { // as people write it
		t.Errorf("drained, written otherwise: %+v", v)
	}
	for range 2 {
		if v := change[api.Drained](st, api.PathUndrain, `{"node":"Node1.IM.example"}`); v.Node != "node1.im.example" {
			t.Errorf("undrained: %+v", v)
		}
		if v := change[api.Drained](st, api.PathUndrain, node); v.Draining || v.Safe {
			t.Errorf("undrained: %+v", v)
		}
	}
	if v := change[api.Drained](st, api.PathDrain, `{"server":true}`); !v.Draining || v.Safe || v.Node != "" || v.LeftNodes != 1 || v.Left[0].Node != "node1.im.example" || v.Left[0].Sessions != 1 {
		t.Errorf("the server: %+v", v)
	}
	if got := st.probe(st.a.HTTPAddr(), "/readyz"); got != "503 not ready" {
		t.Errorf("drained and %s", got)
	}
	if v := read[api.Status](st, api.PathStatus); !v.Draining || v.Ready || v.Wrong[0].Check != "ready" {
		t.Errorf("%+v", v)
	}
	change[api.Drained](st, api.PathUndrain, `{"server":true}`)
	if got := st.probe(st.a.HTTPAddr(), "/readyz"); got != "200 ok" {
		t.Errorf("undrained and %s", got)
	}
}

// TestChangesAreLogged: each change is one line with the operation, who asked as they say, from where, what and what came
// of it. What strangers write cannot break the line.
func TestChangesAreLogged(t *testing.T) {
	st := newStage(t)
	st.attach("node1.im.example", "alice@im.example/phone")
	lines := func(edit func(*http.Request), path, body string) []map[string]any {
		st.t.Helper()
		before := len(st.log.String())
		st.ask(http.MethodPost, path, body, st.withToken, edit)
		var found []map[string]any
		for _, text := range strings.Split(strings.TrimSpace(st.log.String()[before:]), "\n") {
			var l map[string]any
			if err := json.Unmarshal([]byte(text), &l); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if says, _ := l["msg"].(string); strings.HasPrefix(says, "admin: ") {
				found = append(found, l)
			}
		}
		return found
	}
	st.a.log.Logger.SetFormatter(&logrus.JSONFormatter{})
	who := withHeader(api.HeaderWho, "root@hub1 \u202e\u00ad"+strings.Repeat("x", 100))
	for _, c := range []struct{ path, body, op, target, outcome string }{
		{api.PathDrain, `{"node":"node1.im.example"}`, "drain", "node1.im.example", "done"},
		{api.PathUndrain, `{"node":"node1.im.example"}`, "undrain", "node1.im.example", "done"},
		{api.PathDrain, `{"node":"node7\n\u001b[2Jx"}`, "drain", "node7??[2Jx", "refused"},
		{api.PathKick, `{"target":"alice@im.example"}`, "kick", "alice@im.example", "done"},
		{api.PathSecret, `{"domain":"node9.im.example"}`, "secret", "node9.im.example", "done"},
		{api.PathReload, ``, "reload", "", "done"},
		{api.PathReload, `{"x":1}`, "reload", "", "refused"},
	} {
		found := lines(who, c.path, c.body)
		if len(found) != 1 {
			t.Errorf("%s %s: %d lines", c.path, c.body, len(found))
			continue
		}
		l := found[0]
		target, _ := l["target"].(string)
		by, _ := l["who"].(string)
		if l["msg"] != "admin: "+c.op || target != c.target || l["outcome"] != c.outcome || l["from"] != "127.0.0.1" {
			t.Errorf("%s %s: %v", c.path, c.body, l)
		}
		if !strings.HasPrefix(by, "root@hub1 ??x") || len([]rune(by)) != mostWord+1 {
			t.Errorf("%s: who is %q", c.path, by)
		}
	}
	if strings.Contains(st.log.String(), string(config.NameSecret(house, "node9.im.example"))) {
		t.Error("the log has a secret")
	}
}

// TestReload: what changed is told, and a file with faults changes nothing and says all of them.
func TestReload(t *testing.T) {
	st := newStage(t)
	good, err := os.ReadFile(st.file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		if err := os.WriteFile(st.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := read[api.Status](st, api.PathStatus).Config
	write(strings.Replace(string(good), "drain: 2s", "drain: 3s, grace: 45s", 1))
	if v := read[api.Status](st, api.PathStatus); len(v.Wrong) != 1 || v.Wrong[0].Check != "config-file" || v.Config != before {
		t.Errorf("a file that differs: %+v", v.Wrong)
	}
	v := change[api.Reloaded](st, api.PathReload, "")
	if len(v.Changes) != 2 || v.Changes[0].Path != "timers.grace" || v.Changes[0].Old != "30s" || v.Changes[0].New != "45s" || !v.Changes[0].Applied ||
		v.File.SHA256 == before.SHA256 || v.File.File != st.file || !v.File.LoadedAt.After(before.LoadedAt) {
		t.Errorf("%+v", v)
	}
	if v := read[api.Status](st, api.PathStatus); len(v.Wrong) != 0 {
		t.Errorf("after it: %+v", v.Wrong)
	}
	write(strings.Replace(string(good), "drain: 2s", "drain: 3s, grace: 45s", 1) + "offline: {policy: store}\nlog: {format: json}\n")
	if v := change[api.Reloaded](st, api.PathReload, ""); len(v.Changes) != 2 || v.Changes[0].Applied || v.Changes[1].Applied {
		t.Errorf("%+v", v.Changes)
	}
	const stays = "what the configuration file says of offline.policy, log.format acts after a restart only"
	if v := read[api.Status](st, api.PathStatus); len(v.Wrong) != 1 || v.Wrong[0].Check != "config-file" || v.Wrong[0].Message != stays {
		t.Errorf("a file that acts in part: %+v", v.Wrong)
	}
	write(string(good) + "limits: {queue: 1}\nlog: {level: loud}\n")
	got := st.ask(http.MethodPost, api.PathReload, "", st.withToken)
	var bad api.Error
	if err := json.Unmarshal([]byte(got.text), &bad); err != nil || got.StatusCode != http.StatusConflict || bad.Code != api.CodeConflict || len(bad.Faults) != 2 {
		t.Errorf("%s %s %v", got.Status, got.text, err)
	}
	for _, f := range bad.Faults {
		if f.Line == 0 || f.Code == "" || !strings.Contains("limits.queue log.level", f.Path) || f.Path == "" || !strings.Contains(f.Text, f.Message) || strings.Contains(f.Text, "1 fault") {
			t.Errorf("%+v", f)
		}
	}
	if st.s.Config().Timers.Grace.Seconds() != 45 {
		t.Error("a file with faults changed something")
	}
}

// TestSecret gives what a node attaches with, and the node attaches.
func TestSecret(t *testing.T) {
	st := newStage(t)
	v := change[api.Secret](st, api.PathSecret, `{"domain":"node9.im.example"}`)
	if v.Under != "*.im.example" || v.Domain != "node9.im.example" || v.Secret == house {
		t.Errorf("%+v", v)
	}
	n, err := component.Dial(t.Context(), component.Config{Addrs: []string{st.s.ComponentAddr()}, Domain: v.Domain, Secret: v.Secret})
	if err != nil {
		t.Fatal(err)
	}
	n.Close()
}

// TestHead: HEAD gives the head of what GET gives.
func TestHead(t *testing.T) {
	st := newStage(t)
	if got := st.ask(http.MethodHead, api.PathDoctor, ""); got.StatusCode != http.StatusOK || got.text != "" || got.Header.Get("Content-Type") != mediaJSON {
		t.Errorf("%s %q", got.Status, got.text)
	}
}

// TestAfterStop: between the server's end and that of the operations nothing hangs or breaks. What needs the stores is
// refused.
func TestAfterStop(t *testing.T) {
	st := newStage(t, "offline.policy=store")
	st.attach("node1.im.example", "alice@im.example/phone")
	if err := st.s.Stop(); err != nil {
		t.Fatal(err)
	}
	for i := range operations {
		o := &operations[i]
		got := st.ask(o.method, o.path+usual[o.id].query, usual[o.id].body, st.withToken)
		closed := o.id == "readyz" || strings.Contains(" sessions where explain reload tap ", " "+o.id+" ")
		if closed != (got.StatusCode == http.StatusServiceUnavailable) || got.StatusCode == http.StatusInternalServerError {
			t.Errorf("%s: %s %s", o.id, got.Status, got.text)
		}
	}
}
