// Package stream is one XML stream over one connection: bytes in, bytes out, opening and closing.
//
//	          owned by the reader goroutine            owned by whoever holds the link's writing flag
//	socket ──► Conn.Receive ──► feed(bytes)            bytes ──► Conn.TryWrite ──► socket
//	           buffer lent per read, none when idle             (would block: Conn.Write by a writer)
//
// An idle connection holds no buffer: the reader waits for the socket first and borrows a buffer then. It
// knows nothing of XEP-0114 or of routing; package component speaks the handshake, package routing the rest.
package stream
