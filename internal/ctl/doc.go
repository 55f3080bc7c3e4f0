// Package ctl is the operator's end of the admin API: it asks a server, and draws what it answers.
//
//	cmd/patchbay ──► Remote ──HTTP──► internal/admin       one question, one typed answer
//	             ──► Screen  ──────►  text                 pure: an answer and a width give the same lines each time
//	             ──► Live    ──────►  a terminal           asks and draws again each second
//
// Remote owns the connection and the token, which goes to the server that was named and nowhere else. Screen trusts
// nothing in an answer: addresses and texts come from peers, and what would act on a terminal is shown escaped.
package ctl
