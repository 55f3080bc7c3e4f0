package server_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/server"
)

// batch is how many stanzas of a kilobyte are sent at a time to fill what the kernel takes for a node. What is stuck in the end is
// not much more: it comes back to a sender who, where the drain is short, has to take it all within a second, on a busy machine too.
const batch = 100

// flooded has a attached, and a node under node3.im.example that reads nothing. a has sent it stanzas, numbered from 1, until
// enough of them were stuck; last is the number of the last.
func flooded(st *stage, enough func() bool) (a, deaf *actor, last int) {
	a, deaf = st.actor("a"), st.actor("deaf")
	a.attach("node1.im.example", house)
	deaf.mute.Store(true) // an answer to a connection that the server has closed would reset it, and what the kernel has of it is gone
	deaf.attach("node3.im.example", house)
	deaf.listen(false)
	body := "<body>" + strings.Repeat("x", 1000) + "</body></message>"
	for ; last < 200*batch; last += batch {
		if enough() {
			return a, deaf, last
		}
		var text strings.Builder
		for i := range batch {
			fmt.Fprintf(&text, "<message from='node1.im.example' to='node3.im.example' id='%d'>%s", last+i+1, body)
		}
		a.write([]byte(text.String()), 0)
		a.fence()
	}
	breakf("the kernel took it all")
	return a, deaf, last
}

// stuck tells whether a good part of the flood waits in the server.
func (st *stage) stuck() bool {
	n := st.server.Router().Node("node3.im.example")
	return n != nil && n.Queue().Waiting > batch/2
}

// id gives the id of a stanza.
func (it item) id() int {
	if it.what != isElement {
		return 0
	}
	n, _ := strconv.Atoi(it.el.attrs[xml.Name{Local: "id"}])
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

// TestDeafReceiver is lesson S15: one node that reads nothing, one that sends it more than limits.queue. The rest go on,
// what waits is bounded, and each stanza has one end: delivered in order, or returned to its sender.
func TestDeafReceiver(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		st.set("limits.queue=1MiB")
		b := st.actor("b")
		b.attach("node2.im.example", house)
		a, deaf, last := flooded(st, func() bool { return st.server.Router().Ledger().Reasons["queue-full"] > batch })
		a.write([]byte(a.speech("<message from='node1.im.example' to='node2.im.example' id='{n}'/>", 100)), 0)
		b.expect("<message from='node1.im.example' to='node2.im.example' id='{n}'/>", 100)
		if q := st.server.Router().Node("node3.im.example").Queue(); q.Bytes > 1<<20+64<<10 {
			breakf("%d bytes wait", q.Bytes)
		}
		refusal, err := parseElement("<message type='error' from='node3.im.example' to='node1.im.example' id='*'>{error wait/resource-constraint}</message>")
		if err != nil {
			breakf("%v", err)
		}
		returned := map[int]bool{}
		for _, it := range a.backlog {
			if err := refusal.match(it.el, st.vars); err != nil {
				breakf("a received %v: %v", it, err)
			}
			returned[it.id()] = true
		}
		a.backlog = nil
		deaf.mute.Store(false) // or its window stays shut until nobody expects an answer any more
		deaf.listen(true)
		for i := 1; i <= last; i++ {
			if !returned[i] && deaf.next().id() != i {
				breakf("the deaf node has not received %d in its turn", i)
			}
		}
	})
}

// TestTakeoverMovesQueue is rule B09: a name is taken over while its old link is stuck. The new link gets, whole and in order,
// what the old one was not written, and before it again what the old one was written last and has not proved.
func TestTakeoverMovesQueue(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		_, deaf, last := flooded(st, st.stuck)
		fresh := st.actor("fresh")
		fresh.attach("node3.im.example", house)
		after := fresh.rest(last)
		deaf.listen(true)
		before := deaf.rest(0)
		deaf.leave()
		inOrder("the old link", before, 1, len(before))
		if len(after) == 0 || after[0] > len(before)+1 {
			breakf("between what the old link received, up to %d, and the new one, stanzas are lost", len(before))
		}
		inOrder("the new link", after, after[0], last)
	})
}

// TestStopBesideDeafNode: the server stops while a node reads nothing. After the drain time what the node has not taken is
// answered, so that each stanza was either written whole or returned, never both.
func TestStopBesideDeafNode(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		st.set("timers.drain=200ms")
		a, deaf, last := flooded(st, st.stuck)
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
		inOrder("the sender", returned, len(taken)+1, last)
	})
}

// TestTLSPortInClear: whoever speaks no TLS on the TLS port, or nothing at all, is let go, and learns nothing; only who opens
// a stream there is told that it has to begin with TLS, whatever its name.
func TestTLSPortInClear(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		st.set("listen.component_tls=127.0.0.1:0")
		st.set("timers.handshake=1s")
		for _, text := range []string{header("node1.im.example"), header("unknown.example"), header("hub1.im.example"), "GET / HTTP/1.1\r\n\r\n", "<", ""} {
			st.running()
			conn, err := net.Dial("tcp", st.server.ComponentTLSAddr())
			if err != nil {
				breakf("%v", err)
			}
			_ = conn.SetDeadline(time.Now().Add(patience))
			_, _ = conn.Write([]byte(text))
			got, err := io.ReadAll(conn)
			told := strings.Contains(string(got), "<policy-violation") && strings.Contains(string(got), "begin with TLS")
			if ne, ok := err.(net.Error); ok && ne.Timeout() || told != (len(text) > 1 && text[0] == '<') || !told && len(got) > 0 {
				breakf("%q was answered %q (%v)", text, got, err)
			}
			_ = conn.Close()
		}
	})
}

// TestAddressInUse: a port that another program has is told by its key, and nothing is left listening.
func TestAddressInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cfg, err := config.Development(config.Memory)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen.Component, cfg.Listen.ComponentTLS = "127.0.0.1:0", ln.Addr().String()
	cfg.TLS.Cert, cfg.TLS.Key = certificate(t)
	s, err := server.New(cfg, server.Options{Log: (&journal{}).entry()})
	if err != nil {
		t.Fatal(err)
	}
	var taken *server.InUseError
	if err := s.Start(); !errors.As(err, &taken) || taken.Key != "listen.component_tls" || taken.Addr != cfg.Listen.ComponentTLS || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("start: %v", err)
	}
	if conn, err := net.Dial("tcp", s.ComponentAddr()); err == nil {
		_ = conn.Close()
		t.Error("the component port is left listening")
	}
	if err := s.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}
