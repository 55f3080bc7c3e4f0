package admin

import (
	"net/http"
	"time"

	"github.com/patchbay-im/patchbay/internal/admin/api"
)

// who may ask for an operation.
type who uint8

const (
	holder who = iota // who shows the token. It is the zero value: a row that does not say is closed
	local             // who is on this machine, while listen.http is on loopback; elsewhere who shows the token
	anyone            // a probe
)

// operation is one row of the table.
type operation struct {
	method  string // GET changes nothing
	path    string
	id      string // what it is called in the OpenAPI document
	summary string
	who     who
	health  bool    // listen.metrics has it, too
	params  []param // of the query
	body    any     // the zero value of what a POST takes; nil: an empty object
	answer  any     // the zero value of what it gives; nil: text
	media   string  // of the answer; "": application/json
	also    []int   // statuses that it may answer with, besides those of every operation of its kind

	// One of these. do gives the answer or an *api.Error; raw writes by itself.
	do  func(a *Admin, q *query) (any, error)
	raw func(a *Admin, w http.ResponseWriter, q *query)
}

// absent is the status of what asks for one thing that may not be there.
var absent = []int{http.StatusNotFound}

// operations is the table: the router, the guard's tests and docs/openapi.json are made of it.
var operations = []operation{
	{method: http.MethodGet, path: api.PathStatus, id: "status", summary: "One screen: is it us, and what is wrong now.",
		who: local, answer: api.Status{}, do: (*Admin).status},
	{method: http.MethodGet, path: api.PathNodes, id: "nodes", summary: "Every node that is known, all links of its domain together.",
		who: local, params: []param{{name: "domain", doc: "Only this one."}}, answer: api.Nodes{}, also: absent, do: (*Admin).nodes},
	{method: http.MethodGet, path: api.PathLinks, id: "links", summary: "Every stream that is open; or the last 200 that ended or were refused.",
		who: local, params: []param{{name: "closed", kind: flagParam, doc: "Those that ended or were refused."}}, answer: api.Links{}, do: (*Admin).links},
	{method: http.MethodGet, path: api.PathSessions, id: "sessions", summary: "Sessions, up to a limit, and how many there are.",
		who: local, params: []param{
			{name: "node", doc: "Only those on this node."},
			{name: "user", kind: addressParam, doc: "Only those of this user; of a full address only the one.", example: "bob@im.example"},
			{name: "limit", kind: numberParam, least: 1, most: mostSessions, doc: "At most so many; 100 if it is not given."},
			{name: "count", kind: flagParam, doc: "Only the number."},
		}, answer: api.Sessions{}, also: []int{http.StatusNotFound, http.StatusServiceUnavailable}, do: (*Admin).sessions},
	{method: http.MethodGet, path: api.PathWhere, id: "where", summary: "All that is known of one user: sessions, the last that ended, what is stored.",
		who: local, params: []param{{name: "jid", kind: addressParam, needed: true, doc: "The user; of a full address only that session.", example: "bob@im.example"}},
		answer: api.Where{}, also: []int{http.StatusNotFound, http.StatusServiceUnavailable}, do: (*Admin).where},
	{method: http.MethodGet, path: api.PathOutcomes, id: "outcomes", summary: "What became of every stanza, by reason.",
		who: local, params: []param{
			{name: "since", kind: durationParam, least: int64(rateSpan), most: int64(sampleSpan), doc: "The span of the recent counts; 5m if it is not given.", example: "5m"},
			{name: "node", doc: "Only what came from this node."},
			{name: "reason", kind: choiceParam, choices: reasonWords(), doc: "Only this reason, also if it never happened."},
		}, answer: api.Outcomes{}, also: absent, do: (*Admin).outcomes},
	{method: http.MethodGet, path: api.PathExplain, id: "explain", summary: "What would become of a stanza, and why, by the code that routes. Nothing is sent.",
		who: local, params: []param{
			{name: "from", doc: "Who would send it; it may break the rules."},
			{name: "to", doc: "Whom it would be for; it may break the rules."},
			{name: "kind", kind: choiceParam, choices: []string{"message", "iq", "presence"}, doc: "The stanza; message if it is not given."},
			{name: "type", doc: "Its type.", example: "chat"},
		}, answer: api.Explanation{}, also: []int{http.StatusServiceUnavailable}, do: (*Admin).explain},
	{method: http.MethodGet, path: api.PathDoctor, id: "doctor", summary: "The self-check of the running system: what is right, what is wrong, and what to do.",
		who: local, answer: api.Doctor{}, do: (*Admin).doctor},
	{method: http.MethodGet, path: api.PathConfig, id: "config", summary: "The configuration that acts, key by key. Secrets are bullets; with the token each has a print.",
		who: local, answer: api.Config{}, do: (*Admin).showConfig},
	{method: http.MethodGet, path: api.PathTap, id: "tap", summary: "Stanzas as they pass, one a line, until the bounds are met or the reader ends. Four may be open.",
		who: holder, params: []param{
			{name: "match", kind: addressParam, doc: "Only from or to this user, this domain, or this node.", example: "bob@im.example"},
			{name: "for", kind: durationParam, least: int64(time.Second), most: int64(longestTap), doc: "End after so long.", example: "1m"},
			{name: "count", kind: numberParam, least: 1, most: mostTapped, doc: "End after so many."},
			{name: "body", kind: flagParam, doc: "With the whole stanza; needs admin.tap_bodies in the configuration."},
		}, answer: api.Tapped{}, media: mediaNDJSON, also: []int{http.StatusServiceUnavailable}, raw: (*Admin).tap},
	{method: http.MethodGet, path: api.PathOpenAPI, id: "openapi", summary: "This document.",
		who: local, media: mediaJSON, raw: (*Admin).openAPI},

	{method: http.MethodGet, path: api.PathDrain, id: "drain-state", summary: "How far a drain is.",
		who: local, params: []param{
			{name: "node", doc: "Of this node.", example: "node1.im.example"},
			{name: "server", kind: flagParam, doc: "Of the server. One of the two has to be given."},
		}, answer: api.Drained{}, also: absent, do: (*Admin).drainState},
	{method: http.MethodPost, path: api.PathDrain, id: "drain",
		summary: "Lets a node, or the server, take no new sessions. It does not wait: ask by GET until it is safe. To ask again changes nothing.",
		body:    api.Target{}, answer: api.Drained{}, also: absent, do: (*Admin).drain},
	{method: http.MethodPost, path: api.PathUndrain, id: "undrain", summary: "Takes a drain back.",
		body: api.Target{}, answer: api.Drained{}, also: absent, do: (*Admin).undrain},
	{method: http.MethodPost, path: api.PathKick, id: "kick", summary: "Ends a session, all sessions of a user, all links of a node or one link.",
		body: api.Kick{}, answer: api.Kicked{}, also: absent, do: (*Admin).kick},
	{method: http.MethodPost, path: api.PathReload, id: "reload", summary: "Loads the configuration file again and applies what can be applied. With any fault nothing is changed.",
		answer: api.Reloaded{}, also: []int{http.StatusConflict, http.StatusServiceUnavailable}, do: (*Admin).reload},
	{method: http.MethodPost, path: api.PathSecret, id: "secret", summary: "The secret of a name under a wildcard, with which a node can only be itself. It changes nothing, and is logged.",
		body: api.SecretOf{}, answer: api.Secret{}, also: []int{http.StatusNotFound, http.StatusConflict}, do: (*Admin).secret},

	{method: http.MethodGet, path: "/healthz", id: "healthz", summary: "The process runs. It says so until it ends.",
		who: anyone, health: true, media: mediaText, raw: (*Admin).healthz},
	{method: http.MethodGet, path: "/readyz", id: "readyz",
		summary: "Ready (200): the server knows where its users are, or has waited long enough for their nodes. Not ready (503): it has just started, or is being drained.",
		who:     anyone, health: true, media: mediaText, raw: (*Admin).readyz},
	{method: http.MethodGet, path: "/metrics", id: "metrics", summary: "Metrics in the text format of Prometheus.",
		who: local, health: true, media: mediaText, raw: (*Admin).metricsPage},
}

// routes are the operations by path and method.
type routes map[string]map[string]*operation

func newRoutes(table []operation) routes {
	all := routes{}
	for i := range table {
		o := &table[i]
		if all[o.path] == nil {
			all[o.path] = map[string]*operation{}
		}
		all[o.path][o.method] = o
	}
	return all
}
