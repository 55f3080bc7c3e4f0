package ctl

import (
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/internal/admin/api"
)

// TestGrades: below the table stands of which nodes nothing is proved, three by name, and of no node that has no link.
func TestGrades(t *testing.T) {
	node := func(domain, grade string) api.Node { return api.Node{Domain: domain, Grade: grade, Links: 1} }
	away := api.Node{Domain: "away", Grade: gradeWritten}
	for _, c := range []struct {
		nodes []api.Node
		want  string
	}{
		{nil, ""},
		{[]api.Node{node("a", "proved"), away}, ""},
		{[]api.Node{node("a", gradeWritten), away}, "written: a answers no pings, so nothing proves that it read (patchbay help ops#grades)\n"},
		{[]api.Node{node("a", gradeWritten), node("b", gradeWritten), node("c", gradeWritten)}, "written: a, b, c answer no pings, so nothing proves that they read (patchbay help ops#grades)\n"},
		{[]api.Node{node("a", gradeProbing), node("b", gradeProbing), node("c", gradeProbing), node("d", gradeProbing), node("e", gradeProbing)},
			"probing: a, b, c and 2 more: whether pings are answered is not known yet\n"},
		{[]api.Node{{Domain: "a\x1b", Grade: "proved", Links: 1, Spilling: true}}, "spilling: a\\x1b: what comes faster than it is read goes to disk, into the outbox\n"},
	} {
		p := Screen{Width: 200}.page(now)
		p.grades(c.nodes)
		if got := p.String(); got != c.want {
			t.Errorf("%q\nwant %q", got, c.want)
		}
	}
}

// TestInFlight: what is in outboxes is told apart from what is stored for users.
func TestInFlight(t *testing.T) {
	for _, c := range []struct {
		stored  uint64
		outbox  *api.Outboxes
		want    string
		notWant string
	}{
		{5, nil, "5 stored for users", "outbox"},
		{5, &api.Outboxes{}, "5 stored for users", "outbox"},
		{5, &api.Outboxes{Nodes: 1, Stanzas: 5, Bytes: 9}, "5 in an outbox (9 B)", "stored"},
		{5, &api.Outboxes{Nodes: 2, Stanzas: 3}, "3 in 2 outboxes (0 B);2 stored for users", "an outbox"},
		{2, &api.Outboxes{Nodes: 2, Stanzas: 3}, "3 in 2 outboxes", "stored"}, // one look came between two counters
	} {
		got := strings.Join(flights(api.Status{Ledger: api.Ledger{Stored: c.stored}, Outbox: c.outbox}), ";")
		if !strings.Contains(got, c.want) || strings.Contains(got, c.notWant) {
			t.Errorf("%q, want %q and no %q", got, c.want, c.notWant)
		}
	}
}
