// Package conformance judges component servers (XEP-0114), and components, by plays: text files that say what each actor
// sends and what it must receive (docs/conformance.md teaches the language). It imports nothing of the router, and parses
// by its own means (conformance/wire), so it is no judge in its own cause.
package conformance
