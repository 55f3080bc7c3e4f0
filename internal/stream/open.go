package stream

import (
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// CloseTag ends a stream in orderly fashion (RFC 6120 4.4).
const CloseTag = "</stream:stream>"

// NewID makes a stream id: 128 random bits as hex, never reused, not to be guessed (RFC 6120 4.7.3).
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// AppendHeader appends the response stream header of a component stream (XEP-0114 3): from is the name that
// the peer asked for, empty when it asked for none. A component stream has no version and no features.
func AppendHeader(dst []byte, ns, from, id string) []byte {
	dst = append(dst, "<?xml version='1.0'?><stream:stream xmlns='"...)
	dst = stanza.AppendEscaped(dst, []byte(ns))
	dst = append(dst, "' xmlns:stream='"+stanza.NSStream+"'"...)
	if from != "" {
		dst = append(dst, " from='"...)
		dst = stanza.AppendEscaped(dst, []byte(from))
		dst = append(dst, '\'')
	}
	dst = append(dst, " id='"...)
	dst = append(dst, id...)
	return append(dst, "'>"...)
}

// AppendModernHeader appends the response stream header of a modern component stream: one whose initiator has asked for
// features (stanza.StreamHeader.Modern), which follow.
func AppendModernHeader(dst []byte, from, id string) []byte {
	dst = AppendHeader(dst, stanza.NSComponent, from, id)
	return append(dst[:len(dst)-1], " version='1.0' xmlns:pb='"+stanza.NSModern+"' pb:modern='1'>"...)
}

// Finish writes the last bytes of a stream, ends our half of the connection and waits for the peer to end its own
// (RFC 6120 4.4 and 4.9.1.1): for quiet without a byte from it, and for at most most altogether. What the peer still
// sends is read and thrown away. Closing with unread bytes would reset the connection, and with it what the peer has
// not read yet: the reason for the end, and the stanzas before it.
// Receive must have returned, and no other goroutine may write.
func (c *Conn) Finish(last []byte, quiet, most time.Duration) {
	defer c.Close()
	until := time.Now().Add(most)
	_ = c.nc.SetDeadline(until)
	if len(last) > 0 {
		if _, err := c.nc.Write(last); err != nil {
			return
		}
	}
	if cw, ok := c.nc.(interface{ CloseWrite() error }); ok {
		if cw.CloseWrite() != nil {
			return
		}
	}
	buf := smallBuffers.Get().(*[]byte)
	defer smallBuffers.Put(buf)
	for time.Now().Before(until) {
		_ = c.nc.SetReadDeadline(time.Now().Add(min(quiet, time.Until(until))))
		if _, err := c.nc.Read(*buf); err != nil {
			return
		}
	}
}
