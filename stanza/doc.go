// Package stanza reads and writes the words on the wire: it cuts an XML stream into its top-level elements,
// checks them completely, and tells of each what a router needs to know, without a copy.
//
//	bytes read            Scanner.Next                Header                      bytes to write
//	┌──────────────────┐   XML 1.0, RFC 6120 11,    ┌───────────────────────┐   ┌─────────────────────┐
//	│<message to='b@…' │──▶Namespaces in XML,  ────▶│Raw  (borrowed)        │──▶│ Raw as it is, or    │
//	│ …</message><iq…  │   limits                   │kind, type, to, from,  │   │ AppendEdited, or    │
//	└──────────────────┘        │                   │id, flags (spans)      │   │ AppendError         │
//	                            ▼                   └──────┬─────────┬──────┘   └─────────────────────┘
//	                       *StreamError              ParseAddress  Walk
//	                       (the stream ends)         (canonical)   (what is inside, in place)
//
// Owners: a Scanner belongs to the reader of its stream, one goroutine. Header.Raw is borrowed from the buffer
// given to Scanner.Next, and Address and Walker borrow from Raw: all of them end when that buffer is used
// again. Whoever keeps something longer copies it. Nothing here starts a goroutine, locks or logs.
package stanza
