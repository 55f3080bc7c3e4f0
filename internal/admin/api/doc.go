// Package api is the vocabulary of the admin API: what each path of /api/v1 takes and gives, as JSON.
//
//	internal/admin  ──serves──►  api  ◄──asks──  internal/ctl
//
// Units are in the names (queue_bytes, uptime_seconds), times are RFC 3339 in UTC, a duration that is asked for is
// written as in the configuration (5m). It is plain data and imports nothing of ours, so a client needs nothing else.
// The same types make docs/openapi.json.
package api
