// Package component speaks the Jabber Component Protocol (XEP-0114), both ends.
//
// The dialing end is the Go SDK for authors of nodes: Dial attaches a Node that stays attached, announces its
// users, and sends and receives stanzas with mellium's types.
//
//	Dial ──► Node ──► Announce, Withdraw, Send, SendIQ, Where, Watch ──► router
//	           └────► Config.Handler (Messages, a mellium mux) ◄──────── router
//
// A Node asks for a modern stream: STARTTLS or TLS, SASL, and acknowledgements both ways (XEP-0198), so that a cut
// connection loses and repeats nothing. From a server that does not know of it, it takes XEP-0114. Grade tells which.
//
// A node saves a message before it sends it, and what comes before it answers. What is
// delivered again after a link has dropped is handed over once, as far as the last 32768 messages go and the process
// lives: beyond that the node's own database knows a message by sender and id.
//
// The accepting end is what a router needs to grant a domain to a peer:
//
//	bytes ──► Handshake.Feed ──► done: the domain is proved; Scanner goes on with the stanzas
//	              └─ Gate: budgets of peers that have proved nothing yet, by address
//
// Owners: a Handshake belongs to the reader of its connection; a Gate and a Node may be shared.
package component
