package conformance

import (
	"errors"
	"net"
	"strings"
	"time"
)

// reply has something written where a stanza may begin. Who reads does not write it: a peer may well take nothing until what it
// writes itself has been read.
func (c *conn) reply(text string) {
	c.mu.Lock()
	if len(c.replies)+len(text) <= mostReplies {
		c.replies = append(c.replies, text...)
	}
	c.mu.Unlock()
	select {
	case c.asked <- struct{}{}:
	default:
	}
}

// answering writes replies until the reader has ended.
func (c *conn) answering() {
	defer close(c.quiet)
	for range c.asked {
		c.wmu.Lock()
		c.flushReplies()
		c.wmu.Unlock()
	}
}

// answerEnd ends the stream from this side too, once the peer has (RFC 6120 4.4), unless the actor is mute. Nothing can come behind it,
// so the reader may wait.
func (c *conn) answerEnd() {
	c.mu.Lock()
	answers := !c.closed && !c.mute
	c.closed = c.closed || answers
	c.mu.Unlock()
	if answers {
		c.say(streamEnd)
	}
}

// flushReplies writes what is answered without a word, if a stanza may begin here. Called with wmu held.
func (c *conn) flushReplies() {
	if !c.sent.between() {
		return
	}
	c.mu.Lock()
	replies := c.replies
	c.replies = nil
	c.mu.Unlock()
	if len(replies) > 0 {
		c.log(c.actor, Sent, replies)
		c.write(replies)
	}
}

// write writes bytes. That the peer takes no more is for what is expected next: it is noted only, once, for nothing is written then:
// behind a part of a stanza it would be a fault of ours. Called with wmu held.
func (c *conn) write(b []byte) {
	c.mu.Lock()
	nc, broken := c.net, c.broken
	c.mu.Unlock()
	if broken {
		return
	}
	for len(b) > 0 {
		n := min(len(b), writeSize) // a slow way is no peer that takes nothing
		err := nc.SetWriteDeadline(time.Now().Add(writeWait))
		if err == nil {
			_, err = nc.Write(b[:n])
		}
		if err != nil {
			c.mu.Lock()
			c.broken = true
			c.mu.Unlock()
			c.log(c.actor, Noted, []byte("not written, nor anything from here on: "+short(err)))
			return
		}
		b = b[n:]
	}
}

// escapeAttr writes a value so that it may stand in single quotes.
func escapeAttr(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", "'", "&apos;", "\t", "&#9;", "\n", "&#10;", "\r", "&#13;").Replace(s)
}

// short is an error of the network without the addresses, which differ in each run.
func short(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}
