// Package routing decides where each stanza goes and brings it there.
//
//	Source.Feed ──► stanza.Scanner ──► authorise ──► Decide ──► Queue.put ──► Queue.flush ──► Output
//	 (reader of a node)                 from          (pure)     one a node     one try by the reader,
//	                                                  │                        else the queue's writer
//	                                                  ├─► Service   what is addressed to the server
//	                                                  ├─► holds     users not yet known
//	                                                  └─► bounce    to the node it came from
//
// A Queue is one ordered list of blocks (protocol 2 and 3). What was written stays in it until the node proves, by its replies
// to the barrier's pings, that it was read:
//
//	proved │ ring: written, not proved │ blocks: waiting, in memory, on disk, or both │◄── put
//	       p                           w                                              n
//	       ▲ Source.proves             ▲ flush, a window ahead of p at most           ▲
//
// When the link drops the ring waits again, and all goes to the outbox; a link that comes back gets it in order, before what is
// new; a grace that ends has it decided again.
//
// There is one decision, Decide, a pure function of a stanza's header and of what was looked up for it. There
// is no network here: a link's output is the interface Output. Owners:
//
//	Source   the reader goroutine of its link
//	Queue    its mutex, which guards its barrier, too; the block being written: the holder of the writing flag
//	Table    one mutex to change, lock-free to read
//	Router   its maps each under their own mutex; no function holds two locks
package routing
