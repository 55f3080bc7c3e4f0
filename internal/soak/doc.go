// Package soak holds no code: it is a long test of patchbay with acts and faults drawn from a seed.
//
//	go test ./internal/soak -run Soak -seed 7 -for 6m
//
//	acked   (Go SDK) ◄──► fault.Proxy ◄──┐
//	proved  (by hand) ◄─► fault.Proxy ◄──┼──► patchbay serve ── kill -9, SIGTERM, started again on the same data
//	written (by hand) ◄─► fault.Proxy ◄──┘         │ admin API: the ledger, and what waits
//	       └──────────────── book: what was sent, what came, what came back ──────┘
//
// The acts are a function of the seed alone: act n of a seed is always the same. How they meet each other in time is not:
// the server, three nodes and their networks run by themselves, so a seed that fails may have to be run more than once.
//
// Acts come in steps. Behind each step the faults are healed, and when all is quiet what came is held against what was sent,
// who is where against what the nodes were told, and the ledger against itself.
//
// What is not drawn: a clock that is set (the server's process takes its own; component and routing have tests of that with
// fault.Clock), a full disk (internal/interop), and the death of the process that has the SDK, whose place a long partition takes.
package soak
