package admin

import (
	"cmp"
	"slices"
	"time"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/say"
	"github.com/patchbay-im/patchbay/internal/server"
	"github.com/patchbay-im/patchbay/routing"
)

// When something is wrong.
const (
	slowAfter     = 2 * time.Second // a stanza waits for a node that is attached
	lookBack      = 5 * time.Minute // refusals and losses are news for so long
	flaps         = 3               // links of a node that dropped within it
	goneLong      = 24 * time.Hour  // a node that did not come back is news for so long
	soonExpired   = 14 * 24 * time.Hour
	leastDisk     = 5  // percent that are free
	fullStore     = 90 // percent of offline.total
	halfQueue     = 50 // percent
	mostOfOutbox  = 80
	fullQueue     = 90 // also of an outbox
	namesInLine   = 3
	mostOfOneKind = 20 // findings of one check; the rest is a number
)

// evidence is what the checks look at, gathered once.
type evidence struct {
	a      *Admin
	now    time.Time
	began  time.Time // the server's start
	cfg    *config.Config
	facts  []routing.NodeFacts
	closed []server.LinkInfo
	ledger routing.Ledger
}

func (a *Admin) evidence(facts []routing.NodeFacts) *evidence {
	return &evidence{a: a, now: a.opt.Now(), began: a.s.Started(), cfg: a.s.Config(), facts: facts, closed: a.s.Closed(), ledger: a.s.Ledger()}
}

// check is one row of the self-check.
type check struct {
	name  string
	good  string                                               // what is right if it finds nothing
	find  func(e *evidence) []api.Finding                      // of the server as a whole
	node  func(f *routing.NodeFacts, e *evidence) *api.Finding // or of one node
	quiet bool                                                 // only the doctor asks: it may be meant so
}

// checks is the table. Its order is that of the answer, the worst first.
var checks = []check{
	{name: "ready", good: "the server is ready", find: checkReady},
	{name: "view", good: "it is known of every user whether there is a session", find: checkView},
	{name: "ledger", good: "every stanza is accounted for", find: checkLedger},
	{name: "untold", good: "every answer of the server was taken", find: checkUntold},
	{name: "node-away", good: "no node is away", node: checkAway},
	{name: "node-gone", good: "no node of the file has gone within a day", node: checkGone},
	{name: "queue-old", good: "no node is slow", node: checkOld},
	{name: "queue-full", good: "no queue is half full", node: checkFull},
	{name: "outbox", good: "no outbox is 80 % full", node: checkOutbox},
	{name: "outboxes", good: "what is kept on disk has room", find: checkKept},
	{name: "grade", good: "every node that is attached answers pings: it is proved what was read", find: checkGrades},
	{name: "links", good: "no link was refused or ended by an error in the last 5 min", find: checkLinks},
	{name: "certificate", good: "", find: checkCertificate},
	{name: "disk", good: "", find: checkDisk},
	{name: "offline-store", good: "the offline store has room", find: checkStore},
	{name: "config-file", good: "the configuration file is the one that acts", find: checkFile},
	{name: "secrets", good: "no secret of a development server is open to others", find: checkSecrets},
	{name: "user-domains", good: "for every user domain some node may have its users", find: checkUserDomains},
	{name: "token", good: "the token of changes can be used", find: checkToken, quiet: true},
}

// wrong gives what is wrong now, the worst first.
func (e *evidence) wrong() []api.Finding {
	var all []api.Finding
	for i := range checks {
		if !checks[i].quiet {
			all = append(all, checks[i].look(e)...)
		}
	}
	all = slices.DeleteFunc(all, func(f api.Finding) bool { return f.State == api.OK })
	return worstFirst(all)
}

// wrongNodes gives what is wrong with nodes.
func (a *Admin) wrongNodes(facts []routing.NodeFacts, now time.Time) []api.Finding {
	var all []api.Finding
	e := &evidence{a: a, now: now, began: a.s.Started(), cfg: a.s.Config(), facts: facts}
	for i := range checks {
		if checks[i].node != nil {
			all = append(all, checks[i].look(e)...)
		}
	}
	return worstFirst(all)
}

// look makes one check. Its findings are named by it, and bounded.
func (c *check) look(e *evidence) []api.Finding {
	var all []api.Finding
	if c.find != nil {
		all = c.find(e)
	}
	for i := range e.facts {
		if c.node == nil {
			break
		}
		if f := c.node(&e.facts[i], e); f != nil {
			f.Node = e.facts[i].Domain
			all = append(all, *f)
		}
	}
	all = worstFirst(all)
	if more := len(all) - mostOfOneKind; more > 0 {
		all = append(all[:mostOfOneKind], api.Finding{State: all[mostOfOneKind].State, Message: "and " + say.Number(more) + " more", Mend: "patchbay ctl nodes"})
	}
	for i := range all {
		all[i].Check = c.name
	}
	return all
}

// severity orders the words of a finding.
var severity = map[string]int{api.OK: 0, api.Warning: 1, api.Failed: 2}

func worstFirst(all []api.Finding) []api.Finding {
	slices.SortStableFunc(all, func(x, y api.Finding) int { return cmp.Compare(severity[y.State], severity[x.State]) })
	return all
}

// worst is the state of the worst of them.
func worst(all []api.Finding) string {
	state := api.OK
	for _, f := range all {
		if severity[f.State] > severity[state] {
			state = f.State
		}
	}
	return state
}

// doctor answers GET /api/v1/doctor: every check, also those that find nothing. It reads neither the session table nor
// the offline store through: both can be large, and what they would find ends the process anyway.
func (a *Admin) doctor(*query) (any, error) {
	e := a.evidence(a.s.Router().Facts())
	answer := api.Doctor{Server: e.cfg.Server, Time: e.now.UTC()}
	for i := range checks {
		found := checks[i].look(e)
		if len(found) == 0 {
			found = []api.Finding{{Check: checks[i].name, State: api.OK, Message: checks[i].good}}
		}
		answer.Checks = append(answer.Checks, found...)
	}
	answer.State = worst(answer.Checks)
	return answer, nil
}

func warn(message, mend string) []api.Finding {
	return []api.Finding{{State: api.Warning, Message: message, Mend: mend}}
}

func fail(message, mend string) []api.Finding {
	return []api.Finding{{State: api.Failed, Message: message, Mend: mend}}
}

func good(message string) []api.Finding {
	return []api.Finding{{State: api.OK, Message: message}}
}
