package admin

import (
	"cmp"
	"slices"
	"time"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/server"
	"github.com/patchbay-im/patchbay/routing"
)

// drain answers POST /api/v1/drain. It does not wait: how far it is tells GET.
func (a *Admin) drain(q *query) (any, error) { return a.steer(q, a.s.Drain) }

// undrain answers POST /api/v1/undrain.
func (a *Admin) undrain(q *query) (any, error) { return a.steer(q, a.s.Undrain) }

func (a *Admin) steer(q *query, set func(node string) error) (any, error) {
	t := q.body.(*api.Target)
	q.log = q.log.WithField("target", cmp.Or(word(t.Node), "the server"))
	t.Node = server.Canonical(t.Node)
	if err := oneTarget(t.Node, t.Server); err != nil {
		return nil, err
	}
	if err := set(t.Node); err != nil {
		return nil, refused(err)
	}
	return a.drained(t.Node)
}

func oneTarget(node string, whole bool) error {
	if (node == "") == !whole {
		return badRequest("either a node or the server is to be named", "node, or server: true")
	}
	return nil
}

// drainState answers GET /api/v1/drain.
func (a *Admin) drainState(q *query) (any, error) {
	if err := oneTarget(q.node("node"), q.flag("server")); err != nil {
		return nil, err
	}
	return a.drained(q.node("node"))
}

// drained tells how far the drain of a node is, or that of the server.
func (a *Admin) drained(node string) (any, error) {
	facts := a.s.Router().Facts()
	if node != "" {
		i := slices.IndexFunc(facts, func(f routing.NodeFacts) bool { return f.Domain == node })
		if i < 0 {
			return nil, noNode(node)
		}
		return drainOf(node, facts[i].Draining, facts[i:i+1], 0), nil
	}
	st := a.s.Router().Stats()
	return drainOf("", a.s.Router().Draining(), facts, uint64(st.Held)+uint64(st.HeldOnDisk)), nil
}

// mostLeft is how many of the nodes that keep a server are named.
const mostLeft = 5

// drainOf judges a drain: it is safe to stop what has no sessions, and owes nobody anything.
func drainOf(node string, draining bool, facts []routing.NodeFacts, held uint64) api.Drained {
	d := api.Drained{Node: node, Draining: draining, Held: held}
	var left []api.Left
	var oldest time.Duration
	for i := range facts {
		f := &facts[i]
		waits, bytes := owed(f)
		d.Sessions, d.Queue, d.QueueBytes = d.Sessions+f.Sessions, d.Queue+waits, d.QueueBytes+bytes
		oldest = max(oldest, f.Oldest)
		if f.Sessions > 0 || waits > 0 {
			left = append(left, api.Left{Node: f.Domain, State: f.Word(), Sessions: f.Sessions, Queue: waits, QueueBytes: bytes, OldestSecs: f.Oldest.Seconds()})
		}
	}
	d.OldestSecs = oldest.Seconds()
	d.Safe = draining && d.Sessions == 0 && d.Queue == 0 && held == 0
	if node == "" {
		slices.SortStableFunc(left, func(a, b api.Left) int {
			return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(b.Queue, a.Queue))
		})
		d.LeftNodes, d.Left = len(left), left[:min(len(left), mostLeft)]
	}
	return d
}

// owed is what a node that ends now would get again, or late. Of a node that answers no pings nothing can be proved, so
// what was written to it is not waited for; of one of which that is not known yet it is.
func owed(f *routing.NodeFacts) (stanzas, bytes uint64) {
	stanzas, bytes = f.Queue+f.OutboxStanzas, f.QueueBytes+f.OutboxBytes
	if f.Grade != routing.GradeWritten {
		stanzas, bytes = stanzas+f.Unproved, bytes+f.UnprovedBytes
	}
	return stanzas, bytes
}
