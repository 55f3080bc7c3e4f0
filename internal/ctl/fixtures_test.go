package ctl

import (
	"time"

	"github.com/patchbay-im/patchbay/internal/admin/api"
)

// now is when the made-up answers were given.
var now = time.Date(2026, 11, 22, 14, 2, 33, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

func at(d time.Duration) *time.Time { t := now.Add(d); return &t }

const hub = "hub1.im.example"

func someLedger() api.Ledger {
	return api.Ledger{Found: 12, Accepted: 1_204_124, Made: 1_331, Copies: 90_210, Delivered: 1_281_110, Written: 11_589, Served: 412, Bounced: 1_204, Dropped: 13,
		Expired: 2, Waiting: 61, Stored: 1_286, Untold: 1}
}

func someWrong() []api.Finding {
	return []api.Finding{
		{Check: "node-away", State: api.Failed, Node: "node4.im.example",
			Message: "node4.im.example is away: in 8 s its grace ends, then its 85,009 sessions end too", Mend: "see why its link dropped: patchbay ctl links --closed"},
		{Check: "queue-old", State: api.Warning, Node: "node2.im.example", Message: "node2.im.example is slow: its oldest stanza waits for 4 s",
			Mend: "patchbay ctl nodes node2.im.example; if it stays, drain the node and look at its database, which is the usual cause of a node that reads slower than its users write"},
	}
}

func someStatus() api.Status {
	return api.Status{Server: hub, Version: "0.1.0", Time: now, StartedAt: ago(76 * time.Hour), UptimeSeconds: 76 * 3600, Health: api.Failed, Ready: true,
		ViewComplete: true, Listen: api.Listen{Component: "127.0.0.1:5347", ComponentTLS: "0.0.0.0:5348", HTTP: "127.0.0.1:5280", Metrics: "0.0.0.0:9347"},
		Config: api.ConfigFile{File: "/etc/patchbay/patchbay.yaml", SHA256: "b51f00000000000000000000000000000000000000000000000000000000c6c8", LoadedAt: ago(3 * time.Hour)},
		Nodes:  api.NodeCounts{Attached: 4, Draining: 1, Away: 1, Gone: 1, Never: 2}, Links: 4, Sessions: 446_153, Held: 3,
		Rates: api.Rates{Accepted: 8096, Delivered: 8077.4, NotDelivered: 1.25}, Ledger: someLedger(),
		Memory: api.Memory{ResidentBytes: 327_155_712, HeapBytes: 210_763_776, QueueBytes: 1_153_434, UnprovedBytes: 98_304, QueuesMax: 1 << 30},
		Outbox: &api.Outboxes{Nodes: 1, Stanzas: 812, Bytes: 4_613_734, Spilling: 1, DiskMax: 20 << 30},
		Disk:   &api.Disk{Path: "/var/lib/patchbay", FreeBytes: 19_327_352_832}, Wrong: someWrong()}
}

// freshStatus is a development server that has just started.
func freshStatus() api.Status {
	return api.Status{Server: hub, Version: "0.1.0", Time: now, StartedAt: ago(2 * time.Second), UptimeSeconds: 2, Health: api.OK, Loading: true,
		Listen: api.Listen{Component: "127.0.0.1:5347", HTTP: "127.0.0.1:5280"}, Config: api.ConfigFile{LoadedAt: ago(2 * time.Second)}}
}

func someNodes() api.Nodes {
	node := func(domain, state string, sessions int, in, out float64) api.Node {
		return api.Node{Domain: domain, State: state, Links: 1, LinksMax: 1, Sessions: sessions, Grade: "proved", Window: 256 << 10, OutboxMax: 1 << 30, InPerSec: in, OutPerSec: out,
			In: uint64(in * 273_600), Out: uint64(out * 273_600), QueueMax: 16 << 20, Since: ago(76 * time.Hour)}
	}
	one := node("node1.im.example", api.StateAttached, 182_401, 4210, 4377)
	one.Takes = []string{"multicast"}
	two := node("node2.im.example", api.StateAttached, 90_122, 2004, 1998)
	two.Queue, two.QueueBytes, two.OldestSecs = 2_811, 1_153_434, 4
	two.Unproved, two.UnprovedBytes, two.Window, two.Outbox, two.OutboxBytes, two.Spilling = 702, 65_401, 64<<10, 112_800, 46_241_382, true
	three := node("node3.im.example", api.StateAttached, 88_310, 1870, 1902)
	three.Since, three.Grade, three.Window, three.Unproved, three.UnprovedBytes = ago(162*time.Minute), gradeWritten, 0, 300, 25_702
	four := node("node4.im.example", api.StateAway, 85_009, 0, 0)
	four.Links, four.Outbox, four.OutboxBytes, four.OldestSecs, four.Since, four.GraceEndsAt = 0, 812, 4_613_734, 22, ago(22*time.Second), at(8*time.Second)
	five := node("node5.im.example", api.StateDraining, 311, 12, 0.4)
	five.Since, five.Confirming, five.Grade = ago(53*time.Second), true, gradeProbing
	six := api.Node{Domain: "push.im.example", State: api.StateNever, LinksMax: 4, OutboxMax: 1 << 30}
	seven := node("node7.im.example", api.StateGone, 0, 0, 0)
	seven.Links, seven.Since = 0, ago(25*time.Hour)
	return api.Nodes{Server: hub, Time: now, Nodes: []api.Node{one, two, three, four, five, seven, six}, Wrong: someWrong()}
}

// longNodes are names that no screen has room for, and one that means harm.
func longNodes() api.Nodes {
	v := someNodes()
	v.Nodes, v.Wrong = v.Nodes[:2], nil
	v.Nodes[0].Domain = "a-node-with-a-name-that-is-as-long-as-names-of-pods-are-7d9f8b6c5d-x2x9k.patchbay-nodes.svc.cluster.local"
	v.Nodes[1].Domain, v.Nodes[1].Sessions = "\x1b[2Jnöde\u202e-b.im.example\n", 5_000_000
	return v
}

func someLinks() api.Links {
	return api.Links{Server: hub, Time: now, Links: []api.Link{
		{ID: 7, Node: "node3.im.example", Peer: "10.0.0.4:51322", TLS: true, Secure: "TLS 1.3", Auth: "handshake", State: "attached", Grade: "written", Since: ago(162 * time.Minute), In: 18_201_114, Count: 1},
		{ID: 2, Node: "node1.im.example", Peer: "[2001:db8::17]:40112", Auth: "SCRAM-SHA-256", State: "attached", Grade: "acked", Since: ago(76 * time.Hour), In: 1_151_856_000, Count: 1},
		{Peer: "127.0.0.1:51340", State: "handshake", Since: ago(2 * time.Second), Count: 1},
	}}
}

func someClosed() api.Links {
	return api.Links{Server: hub, Time: now, Closed: true, Links: []api.Link{
		{Node: "node9.im.example", Peer: "127.0.0.1:51340", State: "refused", Since: ago(95 * time.Second), EndedAt: at(-4 * time.Second), Reason: "not-authorized", Count: 31,
			Text: "handshake does not match the secret for node9.im.example; check the secret (a library sends the lower-case hex of sha1(stream id + secret))"},
		{Peer: "203.0.113.9:1", State: "refused", Since: ago(10 * time.Minute), EndedAt: at(-10 * time.Minute), Reason: "host-unknown", Count: 1,
			Text: "the domain may not attach here", Mend: "add evil\x1b]0;x\x07.example under nodes: in the configuration, if it is yours"},
		{ID: 4, Node: "node4.im.example", Peer: "10.0.0.5:40000", TLS: true, State: "ended", Since: ago(9 * time.Hour), EndedAt: at(-22 * time.Second), Reason: "dropped", In: 99_120, Count: 1},
	}}
}

func someSessions() api.Sessions {
	return api.Sessions{Server: hub, Time: now, Count: 446_153, Sessions: []api.Session{
		{JID: "alice@im.example/phone", Node: "node1.im.example", Server: hub, State: api.StateAttached, Priority: 5, Since: ago(30 * time.Minute)},
		{JID: `call\20me@im.example/` + "\u202etxt.exe", Node: "node4.im.example", Server: hub, State: api.StateAway, Priority: -1, Since: ago(5 * time.Hour)},
		{JID: "日本語@im.example/携帯電話", Node: "node1.im.example", Server: hub, State: api.StateAttached, Priority: 127, Since: ago(50 * time.Hour)},
	}}
}

func someWhere() api.Where {
	return api.Where{Server: hub, Time: now, JID: "bob@im.example", Answer: "online", Stored: 2,
		Sessions: []api.Session{
			{JID: "bob@im.example/web", Node: "node3.im.example", Server: hub, State: api.StateAttached, Priority: 5, Since: ago(52 * time.Minute)},
			{JID: "bob@im.example/phone/2", Node: "node4.im.example", Server: hub, State: api.StateAway, Since: ago(3 * time.Minute)},
		},
		Ended: []api.Ended{
			{JID: "bob@im.example/tablet", Node: "node4.im.example", Since: ago(4 * time.Hour), EndedAt: ago(72 * time.Minute), Why: "node-left"},
			{JID: "bob@im.example/watch", Node: "node1.im.example", Since: ago(30 * time.Hour), EndedAt: ago(29 * time.Hour), Why: "a-word-of-tomorrow"},
		}}
}

func someOutcomes() api.Outcomes {
	l := someLedger()
	return api.Outcomes{Server: hub, Time: now, SinceSeconds: 300, Ledger: &l, Accepted: 1_204_124, Recent: 40_111, Reasons: []api.Reason{
		{Reason: "no-session", Outcome: "bounced", Total: 1_100, Recent: 204, Error: "cancel/service-unavailable",
			Means: "Chat, or a normal message to a bare address, for a user without a session; `offline.policy` is bounce. It is said only when no node can still be on its way back.",
			Mend:  "Treat the message that you saved as an offline message: push, or keep it for the log-in. Do not send it again."},
		{Reason: "queue-full", Outcome: "bounced", Total: 104, Error: "wait/resource-constraint", Means: "The queue of the target's node is full.", Mend: "Send again later."},
		{Reason: "result-to-nobody", Outcome: "dropped", Total: 13, Recent: 1, Means: "An iq result that could not go on.", Mend: "Nothing."},
	}}
}

func oneOutcome() api.Outcomes {
	v := someOutcomes()
	v.Ledger, v.Node, v.SinceSeconds, v.Reasons = nil, "node1.im.example", 3600, v.Reasons[:1]
	return v
}

func offByTwo() api.Outcomes {
	l := api.Ledger{Accepted: 5, Written: 3, Off: 2}
	return api.Outcomes{Server: hub, Time: now, SinceSeconds: 90, Ledger: &l, Accepted: 5}
}

var questions = []string{"address malformed", "the server itself or a user domain", "a node's domain", "a user with an eligible session",
	"user domain, nobody eligible", "another domain"}

func asked(matched int, why string) (rows []api.Row) {
	for i, q := range questions[:matched] {
		rows = append(rows, api.Row{Row: i + 1, Question: q})
	}
	rows[matched-1].Matched, rows[matched-1].Why = true, why
	return rows
}

func delivered() api.Explanation {
	return api.Explanation{Server: hub, Time: now, Kind: "message", Type: "chat", From: "alice@im.example/phone", To: "bob@im.example",
		Origin: api.Origin{Node: "node1.im.example", State: api.StateAttached, Allowed: true, Why: "is on node1.im.example, whose link may speak for im.example"},
		Rows:   asked(4, "RFC 6121 8.5.2.1.1: bare, every session of priority >= 0"),
		Sessions: []api.ExplainedSession{
			{Resource: "web", Priority: 5, Node: "node3.im.example", Server: hub, State: api.StateAttached, Grade: "proved", Copy: true},
			{Resource: "phone", Node: "node7.im.example", Server: hub, State: api.StateAway, Grade: "written", QueueBytes: 1229, Copy: true},
			{Resource: "watch", Priority: -1, Node: "node7.im.example", Server: hub, State: api.StateAttached, Grade: "written", Why: "negative priority"},
		},
		Notes:   []string{"an older stanza for this user waits, and this one waits behind it"},
		Verdict: api.Verdict{Action: "deliver", Row: 4, Copies: 2, Text: "2 copies, one per node, to unchanged"}}
}

func bounced() api.Explanation {
	return api.Explanation{Server: hub, Time: now, Kind: "message", Type: "chat", From: "alice@im.example/phone", To: "carol@im.example",
		Origin:  api.Origin{Node: "node1.im.example", State: api.StateAttached, Allowed: true, Why: "is on node1.im.example, whose link may speak for im.example"},
		Rows:    asked(5, "view complete: offline policy of im.example: bounce"),
		Ended:   []api.Ended{{JID: "carol@im.example/phone", Node: "node4.im.example", Since: ago(2 * time.Hour), EndedAt: ago(22 * time.Second), Why: "node-left"}},
		Verdict: api.Verdict{Action: "bounce", Row: 5, Reason: "no-session", Error: "cancel/service-unavailable", Text: "node1 gets cancel/service-unavailable with <offline/> and treats the message it saved as an offline message"},
		Recent:  &api.Recent{Reason: "no-session", Count: 1204, Seconds: 300}}
}

func refused() api.Explanation {
	return api.Explanation{Server: hub, Time: now, Kind: "iq", Type: "get", From: "mallory@im.example\x07/x", To: "",
		Origin:  api.Origin{Why: "has no session, so no link may speak for it"},
		Verdict: api.Verdict{Action: "end-link", Text: "the stream that sends it ends with <invalid-from/>"}}
}

func someDoctor() api.Doctor {
	return api.Doctor{Server: hub, Time: now, State: api.Failed, Checks: append(someWrong(),
		api.Finding{Check: "ledger", State: api.OK, Message: "every stanza is accounted for"},
		api.Finding{Check: "certificate", State: api.OK, Message: "tls.cert is good for 61 days"})}
}

func someReload() api.Reloaded {
	return api.Reloaded{File: api.ConfigFile{File: "/etc/patchbay/patchbay.yaml", LoadedAt: now}, Changes: []api.Change{
		{Path: "timers.grace", Old: "30s", New: "45s", Applied: true},
		{Path: "nodes[node9.im.example]", New: "added", Applied: true},
		{Path: "offline.domains.vip.example.policy", New: "discard", Applied: true},
		{Path: "nodes[node4.im.example]", New: "removed", Applied: true, Note: "its link was ended"},
		{Path: "listen.http", Old: "127.0.0.1:5280", New: "0.0.0.0:5280"},
	}, Warnings: []api.Fault{{File: "/etc/patchbay/patchbay.yaml", Line: 18, Column: 9, Message: "tls.cert expires in 9 days (2026-12-01)", Warning: true}}}
}

func someFaults() *api.Error {
	return &api.Error{Code: api.CodeConflict, Message: "the file has 2 faults", Mend: "patchbay check", Faults: []api.Fault{
		{File: "patchbay.yaml", Line: 6, Column: 3, Message: "unknown key listen.htttp", Mend: "did you mean http?",
			Text: "  patchbay.yaml:6:3    unknown key listen.htttp\n     6 |   htttp: 127.0.0.1:5280\n       |   ^~~~~                     mend: did you mean http?\n"},
		{File: "patchbay.yaml", Line: 15, Column: 16, Message: "72hours is not a duration", Mend: "72h"},
	}}
}

func someTap() []api.Tapped {
	return []api.Tapped{
		{Time: now, Node: "node1.im.example", Kind: "message", Type: "chat", ID: "m1", From: "alice@im.example/phone", To: "bob@im.example", Bytes: 412, Action: "deliver", Targets: []string{"node3.im.example", "node7.im.example"}},
		{Time: now.Add(7 * time.Millisecond), Node: "node1.im.example", Kind: "message", Type: "chat", ID: "m2", From: "alice@im.example/phone", To: "carol@im.example", Bytes: 99_000, Action: "bounce", Reason: "no-session", Lost: 12},
		{Time: now.Add(time.Second), Node: "node1.im.example", Kind: "presence", From: "eve@im.example/\x1b[31m", To: "im.example", Bytes: 70, Action: "serve", XML: "<presence from='eve@im.example/\x1b[31m'\n to='im.example'/>"},
	}
}
