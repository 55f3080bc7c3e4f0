// Package soak holds no code: it is a long test of patchbay with acts and faults drawn from a seed.
//
//	go test ./internal/soak -run Soak -seed 7 -for 6m
//
//	acked   (Go SDK, a process) ◄─► fault.Proxy ◄──┐
//	proved  (by hand) ◄───────────► fault.Proxy ◄──┼──► patchbay serve ── kill -9, SIGTERM, started again on the same data
//	written (by hand) ◄───────────► fault.Proxy ◄──┘         │ admin API: the ledger, and what waits
//	       └────────────────────── book: what was sent, what came, what came back ──────┘
//
// The acts are a function of the seed alone: act n of a seed is always the same. How they meet each other in time is not:
// the server, three nodes and their networks run by themselves, so a seed that fails may have to be run more than once.
//
// Acts come in steps. Behind each step the faults are healed, and when all is quiet what came is held against what was sent,
// who is where against what the nodes were told, and the ledger against itself.
//
// The server's clock is set by hours, forward and back. Its program is the one that is shipped, but for time.Now, which is built
// anew (go build -overlay): it is ahead by what the test says. Of a seed that 5 divides the data is on a small file system (Linux, root),
// which gets full. The node with the SDK is the test binary, started again: it is killed like the server, and what it has
// handled by then it has told by write(2).
package soak
