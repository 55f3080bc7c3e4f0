// Package interop holds no code: it is the tests of patchbay as a process, seen from outside.
//
//	node (an example, Go SDK, nine libraries, by hand) ◄──► tap, records bytes ◄──► patchbay serve ◄──► tap ◄──► node
//	                                                                                           │ SIGTERM, SIGKILL, full disk
//	                                                                                           └ data directory, opened between two lives
//
// The loss tests have a sender by hand, and a receiver whose handlers note each message before they do anything else; beside
// patchbay they are played with Prosody and ejabberd. The conformance suite judges the same, and jabberd2's router.
//
// The conformance suite is judged too: with a proxy between it and patchbay that breaks one rule at a time, a case of that rule
// must fail.
//
// What is judged is what a person or a node would see: the bytes on the wire, the lines on stderr, the exit code, and
// the session table after a kill. The server is built as it is shipped, without the race detector.
package interop
