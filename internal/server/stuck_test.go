package server_test

import (
	"encoding/xml"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What floods a node that does not read: more than the kernel takes for it.
const (
	flood = 9000
	bulk  = 1000
)

// flooded has a attached, and a node under node3.im.example that has not read any of the flood that a sent it.
func flooded(st *stage) (a, deaf *actor) {
	a, deaf = st.actor("a"), st.actor("deaf")
	a.attach("node1.im.example", house)
	deaf.attach("node3.im.example", house)
	deaf.listen(false)
	text := "<message from='node1.im.example' to='node3.im.example' id='{n}'><body>" + strings.Repeat("x", bulk) + "</body></message>"
	a.write([]byte(a.speech(text, flood)), 0)
	a.fence()
	if q := st.server.Router().Node("node3.im.example").Queue(); q.Waiting == 0 {
		breakf("the kernel took it all: %+v", q)
	}
	return a, deaf
}

// id gives the id of a stanza.
func (it item) id() int {
	if it.what != isElement {
		return 0
	}
	n, _ := strconv.Atoi(it.el.attrs[xml.Name{Local: "id"}]) // pings have other ids
	return n
}

// rest gives the numbers of the stanzas that an actor still receives, until its connection ends or it has the last one.
func (a *actor) rest(last int) (ids []int) {
	for {
		it := a.next()
		switch n := it.id(); {
		case it.what == isEnd, it.what == isReset, it.what == isBroken:
			return ids
		case n > 0 && it.el.name.Local == "message":
			if ids = append(ids, n); n == last {
				return ids
			}
		}
	}
}

// inOrder holds that ids are all the numbers from first to last.
func inOrder(who string, ids []int, first, last int) {
	if len(ids) != last-first+1 {
		breakf("%s received %d stanzas instead of those from %d to %d", who, len(ids), first, last)
	}
	for i, id := range ids {
		if id != first+i {
			breakf("%s received %d instead of %d", who, id, first+i)
		}
	}
}

// TestTakeoverMovesQueue is rule B09: a name is taken over while its old link is stuck. Each stanza reaches one of the two
// links, whole and in order, and none is lost.
func TestTakeoverMovesQueue(t *testing.T) {
	onStage(t, func(st *stage) {
		_, deaf := flooded(st)
		fresh := st.actor("fresh")
		fresh.attach("node3.im.example", house)
		after := fresh.rest(flood)
		deaf.listen(true)
		before := deaf.rest(0)
		deaf.leave()
		inOrder("the old link", before, 1, len(before))
		inOrder("the new link", after, len(before)+1, flood)
	})
}

// TestStopBesideDeafNode: the server stops while a node reads nothing. After the drain time what the node has not taken is
// answered, so that each stanza was either written whole or returned, never both.
func TestStopBesideDeafNode(t *testing.T) {
	onStage(t, func(st *stage) {
		st.set("timers.drain=200ms")
		a, deaf := flooded(st)
		st.stop()
		var returned []int
		for {
			it := a.next()
			if it.what != isElement || it.el.name.Local == "error" {
				break
			}
			if it.el.attrs[xml.Name{Local: "type"}] != "error" {
				breakf("a received %v", it)
			}
			returned = append(returned, it.id())
		}
		a.leave()
		deaf.listen(true)
		taken := deaf.rest(0)
		deaf.leave()
		st.wait()
		inOrder("the deaf node", taken, 1, len(taken))
		inOrder("the sender", returned, len(taken)+1, flood)
	})
}

// TestTLSPortInClear: whoever speaks no TLS on the TLS port, or nothing at all, is let go, and learns nothing.
func TestTLSPortInClear(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		st.set("listen.component_tls=127.0.0.1:0")
		st.set("timers.handshake=1s")
		for _, text := range []string{header("node1.im.example"), "GET / HTTP/1.1\r\n\r\n", ""} {
			st.running()
			conn, err := net.Dial("tcp", st.server.ComponentTLSAddr())
			if err != nil {
				breakf("%v", err)
			}
			_ = conn.SetDeadline(time.Now().Add(patience))
			_, _ = conn.Write([]byte(text))
			got, err := io.ReadAll(conn)
			if ne, ok := err.(net.Error); ok && ne.Timeout() || strings.Contains(string(got), "<") {
				breakf("%q was answered %q (%v)", text, got, err)
			}
			_ = conn.Close()
		}
	})
}
