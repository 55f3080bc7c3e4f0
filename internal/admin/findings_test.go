package admin

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/server"
	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/storage"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// say writes findings one a line.
func told(all []api.Finding) string {
	var lines []string
	for _, f := range all {
		lines = append(lines, f.State+" "+f.Message)
	}
	return strings.Join(lines, "\n")
}

// TestNodeChecks looks at nodes one by one.
func TestNodeChecks(t *testing.T) {
	node := func(edit func(*routing.NodeFacts)) routing.NodeFacts {
		f := routing.NodeFacts{Domain: "n.example", State: routing.Attached, Sessions: 85_009, QueueMax: 16 << 20}
		edit(&f)
		return f
	}
	away := func(f *routing.NodeFacts) { f.State, f.GraceEnds = routing.Away, noon.Add(8*time.Second) }
	for _, c := range []struct {
		facts routing.NodeFacts
		want  string
	}{
		{node(func(*routing.NodeFacts) {}), ""},
		{node(away), "failed n.example is away: in 8 s its grace ends, then its 85,009 sessions end too"},
		{node(func(f *routing.NodeFacts) { away(f); f.Sessions = 0 }), "warning n.example is away: in 8 s its grace ends"},
		{node(func(f *routing.NodeFacts) { away(f); f.Sessions, f.GraceEnds = 1, noon.Add(-time.Minute) }), "failed n.example is away: in 0 s its grace ends, then its session ends too"},
		{node(func(f *routing.NodeFacts) { away(f); f.Oldest = time.Minute }), "failed n.example is away: in 8 s its grace ends, then its 85,009 sessions end too"},
		{node(func(f *routing.NodeFacts) { f.Oldest = slowAfter }), ""},
		{node(func(f *routing.NodeFacts) { f.Oldest = 4250 * time.Millisecond }), "warning n.example is slow: its oldest stanza waits for 4 s"},
		{node(func(f *routing.NodeFacts) { f.QueueBytes = 8<<20 - 1 }), ""},
		{node(func(f *routing.NodeFacts) { f.QueueBytes = 10 << 20 }), "warning the queue of n.example is 62 % full: 10.0 MiB of 16.0 MiB"},
		{node(func(f *routing.NodeFacts) { f.QueueBytes = 15 << 20 }), "failed the queue of n.example is 93 % full: 15.0 MiB of 16.0 MiB"},
		{node(func(f *routing.NodeFacts) { f.State, f.Since = routing.Past, noon.Add(-200*time.Minute) }),
			"warning n.example has been gone for 3 h 20 min: its grace has passed, and its sessions have ended"},
		{node(func(f *routing.NodeFacts) { f.State, f.Since = routing.Past, noon.Add(-5*time.Hour) }),
			"warning n.example has been gone for at least 5 h: its grace has passed, and its sessions have ended"},
		{node(func(f *routing.NodeFacts) { f.State, f.Since = routing.Past, noon.Add(-goneLong) }), ""},
		{node(func(f *routing.NodeFacts) { f.State, f.Since = routing.Never, noon }), ""},
	} {
		a := &Admin{s: nil}
		cfg := &config.Config{Nodes: []config.Node{{Domain: "n.example"}}}
		e := &evidence{a: a, now: noon, began: noon.Add(-5 * time.Hour), cfg: cfg, facts: []routing.NodeFacts{c.facts}}
		var all []api.Finding
		for i := range checks {
			if checks[i].node != nil {
				all = append(all, checks[i].look(e)...)
			}
		}
		if got := told(all); got != c.want {
			t.Errorf("%+v\n%s\nwant %s", c.facts, got, c.want)
		}
		for _, f := range all {
			if f.Node != "n.example" || f.Mend == "" || f.Check == "" {
				t.Errorf("%+v", f)
			}
		}
	}
}

// TestGoneUnlisted: of nodes that the file does not name one by one nobody knows whether they are to come back.
func TestGoneUnlisted(t *testing.T) {
	cfg := &config.Config{Nodes: []config.Node{{Domain: "*.pods.example"}}}
	for _, name := range []string{"n.pods.example", "n.example"} {
		f := routing.NodeFacts{Domain: name, State: routing.Past, Since: noon}
		if found := checkGone(&f, &evidence{now: noon, cfg: cfg}); found != nil {
			t.Error(found.Message)
		}
	}
}

// TestManyFindings: a thousand nodes that are away are not a thousand lines, and the worst come first.
func TestManyFindings(t *testing.T) {
	e := &evidence{now: noon}
	for range 1000 {
		e.facts = append(e.facts, routing.NodeFacts{Domain: "n.example", State: routing.Away})
	}
	e.facts[999].Sessions = 5
	for i := range checks {
		if checks[i].name != "node-away" {
			continue
		}
		all := checks[i].look(e)
		if len(all) != mostOfOneKind+1 || all[0].State != api.Failed || all[mostOfOneKind].Message != "and 980 more" || worst(all) != api.Failed {
			t.Errorf("%d\n%s", len(all), told(all))
		}
	}
	if worst(nil) != api.OK {
		t.Error("nothing is wrong, and it is not ok")
	}
}

// TestLinkCheck gathers what ended in one way.
func TestLinkCheck(t *testing.T) {
	ended := func(node, peer, state, reason string, ago time.Duration, n uint64) server.LinkInfo {
		return server.LinkInfo{Node: node, Peer: peer, State: state, Reason: reason, Ended: noon.Add(-ago), Count: n, Text: "the text", Mend: ""}
	}
	e := &evidence{now: noon, facts: []routing.NodeFacts{
		{Domain: "n7.example", State: routing.Attached, Since: noon.Add(-30 * time.Second)},
		{Domain: "n8.example", State: routing.Away, Since: noon.Add(-30 * time.Second)},
	}, closed: []server.LinkInfo{
		ended("n7.example", "192.0.2.1:1", server.LinkRefused, "conflict", time.Second, 1),
		ended("n7.example", "192.0.2.1:1", server.LinkRefused, "host-unknown", time.Minute, 19),
		ended("n8.example", "192.0.2.1:1", server.LinkRefused, "host-unknown", time.Minute, 2),
		ended("", "192.0.2.9:1", server.LinkRefused, "host-unknown", time.Second, 1),
		ended("n9.example", "192.0.2.1:1", server.LinkRefused, "not-authorized", time.Second, 30),
		ended("n9.example", "192.0.2.2:1", server.LinkRefused, "not-authorized", time.Minute, 1),
		ended("n9.example", "192.0.2.2:1", server.LinkRefused, "not-authorized", time.Hour, 1000),
		ended("n1.example", "192.0.2.1:1", server.LinkEnded, server.EndDropped, time.Second, 1),
		ended("n1.example", "192.0.2.1:2", server.LinkEnded, server.EndDropped, time.Minute, 1),
		ended("n2.example", "192.0.2.1:1", server.LinkEnded, server.EndDropped, time.Second, 1),
		ended("n2.example", "192.0.2.1:2", server.LinkEnded, server.EndDropped, time.Second, 1),
		ended("n2.example", "192.0.2.1:3", server.LinkEnded, server.EndDropped, time.Second, 1),
		ended("n3.example", "192.0.2.1:1", server.LinkEnded, server.EndClosed, time.Second, 1),
		ended("n4.example", "192.0.2.1:1", server.LinkEnded, "invalid-from", time.Second, 1),
		ended("\x1b[2Jn5.example", "192.0.2.1:1", server.LinkRefused, "host-unknown", time.Second, 1),
	}}
	want := "warning n9.example was refused 31 times in the last 5 min: not-authorized\n" +
		"warning the link of n2.example dropped 3 times in the last 5 min\n" +
		"warning n8.example was refused 2 times in the last 5 min: host-unknown\n" +
		"warning n7.example was refused once in the last 5 min: conflict\n" +
		"warning a peer at 192.0.2.9 was refused once in the last 5 min: host-unknown\n" +
		"warning n4.example was ended once in the last 5 min: invalid-from\n" +
		"warning ?[2Jn5.example was refused once in the last 5 min: host-unknown"
	if got := told(checkLinks(e)); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// TestServerChecks looks at what can be handed in.
func TestServerChecks(t *testing.T) {
	day := 24 * time.Hour
	for _, c := range []struct {
		found []api.Finding
		want  string
	}{
		{expiry(noon.Add(61*day+time.Hour), noon), "ok tls.cert is good for 61 days"},
		{expiry(noon.Add(9*day+time.Hour), noon), "warning tls.cert expires in 9 days (2026-12-01)"},
		{expiry(noon.Add(-day-time.Hour), noon), "failed tls.cert expired 1 day ago (2026-11-21)"},
		{room(nil), "ok this system does not tell how full the disk is"},
		{room(&api.Disk{Path: "/d", FreeBytes: 4 << 30, TotalBytes: 100 << 30}), "failed only 4 % of the disk of /d is free: 4.0 GiB"},
		{room(&api.Disk{Path: "/d", FreeBytes: 5 << 30, TotalBytes: 100 << 30}), "ok 5 % of the disk of /d is free: 5.0 GiB"},
		{trySecrets([]config.Node{{Domain: "a.example", Secret: []config.Secret{"0123456789abcdef"}}}), ""},
		{trySecrets([]config.Node{{Domain: "a.example", Secret: []config.Secret{"0123456789abcdef", "dev-7Qk2mVx9TzR4wB1n"}}}),
			"failed a.example has a secret of a development server, and nodes attach from beyond loopback"},
		{checkUserDomains(&evidence{cfg: &config.Config{Users: []string{"a.example", "b.example"}, Nodes: []config.Node{{Users: []string{"a.example"}}}}}),
			"warning no node may have users of b.example"},
	} {
		if got := told(c.found); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
	for addr, want := range map[string]bool{"": true, "127.0.0.1:1": true, "[::1]:1": true, "[::]:1": false, "0.0.0.0:1": false, "192.0.2.1:1": false} {
		if got := ownLoopback(addr); got != want {
			t.Errorf("%s is of this machine only: %v", addr, got)
		}
	}
}

// TestDoctor: each check says something, and what is broken while the server runs is found.
func TestDoctor(t *testing.T) {
	st := newStage(t, "offline.policy=store", "offline.total=64KiB")
	states := func() map[string]string {
		all := map[string]string{}
		for _, f := range read[api.Doctor](st, api.PathDoctor).Checks {
			if f.Message == "" || f.State != api.OK && f.Mend == "" {
				t.Errorf("%+v", f)
			}
			all[f.Check] = f.State
		}
		return all
	}
	for name, state := range states() {
		if state != api.OK {
			t.Errorf("at the start: %s is %s", name, state)
		}
	}
	if got := states(); len(got) != len(checks) {
		t.Errorf("%d of %d checks say something", len(got), len(checks))
	}
	st.refuse("node3.im.example")
	if _, err := st.s.Offline().Put([]byte("bob@im.example"), 1, []byte("<message>"+strings.Repeat("x", 60<<10)+"</message>"), storage.Keep{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(st.a.token.file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(st.file); err != nil {
		t.Fatal(err)
	}
	got := states()
	if got["ledger"] != api.Failed {
		t.Error("a message that nobody accepted is stored, and the account adds up")
	}
	for _, name := range []string{"links", "offline-store", "token", "config-file"} {
		if got[name] != api.Warning {
			t.Errorf("%s is %s", name, got[name])
		}
	}
	for _, f := range read[api.Doctor](st, api.PathDoctor).Checks {
		if f.Check == "offline-store" && !strings.HasSuffix(f.Mend, "senders are told offline-total") {
			t.Errorf("the store: %s", f.Mend)
		}
	}
	if v := read[api.Status](st, api.PathStatus); len(v.Wrong) != 4 || v.Health != api.Failed || v.Wrong[0].Check != "ledger" {
		t.Errorf("the status: %s", told(v.Wrong))
	}
}

// TestWhenKnown: what the view waits for is named, as far as it is a few nodes.
func TestWhenKnown(t *testing.T) {
	node := func(name string, state routing.NodeState, confirming bool) routing.NodeFacts {
		return routing.NodeFacts{Domain: name, State: state, Confirming: confirming}
	}
	here, mute, away := node("n1", routing.Attached, false), node("n2", routing.Attached, true), node("n3", routing.Away, false)
	for _, c := range []struct {
		facts []routing.NodeFacts
		want  string
	}{
		{nil, "wait for the sessions of before to be read"},
		{[]routing.NodeFacts{here, node("n4", routing.Past, false)}, "wait for the sessions of before to be read"},
		{[]routing.NodeFacts{here, mute}, "it is known when these have said which users they still have, or timers.grace has passed: n2"},
		{[]routing.NodeFacts{here, mute, away}, "it is known when these are back, or their grace has ended: n3"},
		{[]routing.NodeFacts{away, away, away, away}, "it is known when these are back, or their grace has ended: n3, n3, n3"},
	} {
		if got := whenKnown(c.facts); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}

// TestRestartFor names keys that act after a restart only, not all of many.
func TestRestartFor(t *testing.T) {
	if found := restartFor(nil); found != nil {
		t.Error(told(found))
	}
	want := "warning what the configuration file says of server, data, listen.http and 2 keys more acts after a restart only"
	if got := told(restartFor([]string{"server", "data", "listen.http", "listen.metrics", "log.format"})); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestWords: hostile text is one printable piece, and not without end.
func TestWords(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{word("a\x00b\u202ec"), "a?b?c"}, {word(strings.Repeat("é", 65)), strings.Repeat("é", 64) + "…"}, {line("\xff"), "?"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// TestNodeCounts: each node is counted once, by its state.
func TestNodeCounts(t *testing.T) {
	var c api.NodeCounts
	for _, f := range []routing.NodeFacts{{State: routing.Attached}, {State: routing.Attached, Draining: true}, {State: routing.Away, Draining: true},
		{State: routing.Past}, {State: routing.Never}, {State: routing.Never}} {
		countNode(&c, &f)
	}
	if c != (api.NodeCounts{Attached: 2, Draining: 1, Away: 1, Gone: 1, Never: 2}) {
		t.Errorf("%+v", c)
	}
}

// TestStateWords: the words of the router are those of the API.
func TestStateWords(t *testing.T) {
	for _, c := range []struct {
		facts routing.NodeFacts
		want  string
	}{
		{routing.NodeFacts{State: routing.Attached}, api.StateAttached},
		{routing.NodeFacts{State: routing.Attached, Draining: true}, api.StateDraining},
		{routing.NodeFacts{State: routing.Away}, api.StateAway},
		{routing.NodeFacts{State: routing.Past}, api.StateGone},
		{routing.NodeFacts{State: routing.Never}, api.StateNever},
	} {
		if got := c.facts.Word(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
