// Package admin is how people and programs operate one server: JSON over HTTP on listen.http, and health and metrics on
// listen.metrics.
//
//	listen.http ──► guard ──► operation ──► server, router, session table
//	   every        │           │
//	   request      │           └─ one table (operations.go): paths, handlers, docs/openapi.json, tests of the guard
//	                └─ Host 421, path 404, Origin 403, method 405, token 401, rate 429, Content-Type 415
//	listen.metrics ──► /metrics, /healthz, /readyz and nothing else
//
// What may be asked is one table, operations.go. Who may ask is one function, guard.judge, which knows nothing of the
// operations but the three facts that a row states: its method, whether it is open, and whether it streams. So an
// operation cannot forget to be guarded.
//
// Owners: Admin is set once, but for what the sampler's mutex and those of the limiters guard. Goroutines: one HTTP
// server a listener, and the sampler; Stop waits for them. What net/http starts for a connection ends with it.
package admin
