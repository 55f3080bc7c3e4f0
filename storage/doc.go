// Package storage keeps what must outlive the process: the session table with its index in memory, and the
// offline store (see Offline), each in a database of its own; and the outbox (see Outbox), in files. Of the session table:
//
//	reader of a link                                         any goroutine
//	   | Begin, Announce, Withdraw, Commit                      | Hash, TouchAll, Find, Holds
//	   v                                                        v
//	index (256 shards; slots -> records in an arena)  <- no lock: atomic loads
//	   |  keys of what changed
//	   v
//	committer -- one synced transaction per group --> Badger        sweeper: sessions of nodes that are gone
//
// After the open the index is empty, and behind a door: the loader's goroutines bring the sessions of before in, and
// whoever needs a user sooner fetches that one (load_door.go).
//
// The index is authoritative: a change is in it at once, and the disk follows it. The committer is handed
// keys, not values, and writes what the index says when it comes to them, so the disk never moves back.
//
// A record names a binding, which is a node and one of its incarnations. Moving or losing a node is a
// change of the node's record and its bindings, not of its sessions.
//
// Owners: a shard's mutex guards its writers' side; the node table has one mutex to change it and atomic
// pointers to read it; the committer's goroutine owns the group it forms, and alone writes the database
// after the open. Nobody holds two locks. Goroutines: committer, sweeper and loader, all ended by Close.
package storage
