// Package bench drives a server with load that is cheap to make, counted to the last stanza and bounded.
//
//	Source ──► Load.Run (one goroutine sends) ──► server under test ──► Load.Take (one goroutine a link) ──► Sink
//	              ▲                                                                                         │
//	              └────────────────────── Meter: how many arrived, the first error ◄────────────────────────┘
//
// Every stanza of one load has the same size and a number at the same place: a Form. So the sender only overwrites
// digits in a prepared buffer, and the sink finds the next stanza by adding a size; it still sees each loss, each
// duplicate and each change of order, because numbers of one sender must rise and the count must be exact.
//
// The benchmarks of the package measure a server in a process of its own, by the CPU clock of that process: wall
// clock on a shared machine says little. A rival is measured in the same run, in turns with ours.
//
// Owners: a Source belongs to the goroutine of Run, a Sink to the goroutine of its link; Meter is shared.
package bench
