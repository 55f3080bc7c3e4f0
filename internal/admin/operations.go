package admin

import (
	"net/http"

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

// operations is the table: the router, the guard's tests and docs/openapi.json are made of it.
var operations = []operation{
	{method: http.MethodGet, path: api.PathStatus, id: "status", summary: "One screen: is it us, and what is wrong now.",
		who: local, answer: api.Status{}, do: (*Admin).status},
	{method: http.MethodGet, path: api.PathOpenAPI, id: "openapi", summary: "This document.",
		who: local, media: mediaJSON, raw: (*Admin).openAPI},

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
