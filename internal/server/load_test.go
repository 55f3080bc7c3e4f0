package server_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// onStage runs steps that are Go on a stage of their own, with the checks of a scene's end.
func onStage(t *testing.T, steps func(st *stage)) {
	t.Helper()
	st := newStage(t)
	defer st.clear()
	defer func() {
		switch p := recover().(type) {
		case nil:
		case broken:
			t.Errorf("%s\n%s", p.says, st.log.text())
		default:
			panic(p)
		}
	}()
	steps(st)
	st.end()
}

// footprint is what peers that have gone must not leave behind.
func footprint() (heap uint64, goroutines int) {
	runtime.GC()
	runtime.GC() // pools are emptied by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, runtime.NumGoroutine()
}

// TestUnauthenticatedLeaveNothing is lesson S14: peers that come, send half a header and go cost nothing for long.
func TestUnauthenticatedLeaveNothing(t *testing.T) {
	onStage(t, func(st *stage) {
		addr := st.running().ComponentAddr()
		visits := func(n int) {
			for i := range n {
				visit(addr, i)
			}
			st.actor("last").attach("node1.im.example", house) // by now the server has accepted all before
			st.actor("last").reset()
			st.nodeIs("node1.im.example", "away")
		}
		visits(300)
		heap, goroutines := footprint()
		visits(3000)
		st.until("no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
		if after, _ := footprint(); after > heap+2<<20 {
			breakf("3000 visits left %d KiB", (after-heap)>>10)
		}
	})
}

// visit connects, sends a part of an opening, and goes in one of several ways.
func visit(addr string, i int) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		breakf("visit %d: %v", i, err)
	}
	half := header("node1.im.example") + "<handshake>" + strings.Repeat("0", 20)
	_, _ = conn.Write([]byte(half[:i%len(half)]))
	if tc := conn.(*net.TCPConn); i%3 == 0 {
		_ = tc.SetLinger(0)
	} else if i%3 == 1 {
		_ = tc.CloseWrite()
		_, _ = io.Copy(io.Discard, conn) // until the server has ended it
	}
	_ = conn.Close()
}

// TestGateWaits: more than 100 unauthenticated streams of one address wait for their turn (RFC 6120 13.12); other
// addresses do not.
func TestGateWaits(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		st.set("timers.handshake=60s") // a hundred take their time on a busy machine
		for i := range 100 {
			a := st.actor(fmt.Sprintf("u%d", i))
			a.connect(false, "")
			a.write([]byte(header("node1.im.example")), 0)
			a.takeHeader(a.next())
		}
		late, other := st.actor("late"), st.actor("other")
		late.connect(false, "")
		late.write([]byte(header("node2.im.example")), 0)
		other.connect(false, "127.0.0.2")
		other.attach("node3.im.example", house)
		if late.quiet("100ms"); len(late.items) > 0 {
			breakf("the 101st stream was answered")
		}
		st.actor("u7").write([]byte("<handshake>"+digest(st.actor("u7").id, house)+"</handshake>"), 0)
		st.actor("u7").expect("<handshake/>", 1)
		late.takeHeader(late.next())
		late.write([]byte("<handshake>"+digest(late.id, house)+"</handshake>"), 0)
		late.expect("<handshake/>", 1)
	})
}

// TestGateSlowsDown: from the eleventh failure within ten seconds an address gets its errors a second late. It is never
// refused: who knows the secret attaches at once. Other addresses see nothing of it.
func TestGateSlowsDown(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		wrong := func(name, from string) *actor {
			a := st.actor(name)
			a.connect(false, from)
			a.write([]byte(header("node1.im.example")), 0)
			a.takeHeader(a.next())
			a.write([]byte("<handshake>"+digest(a.id, "another-secret-than-it")+"</handshake>"), 0)
			return a
		}
		for range 10 {
			wrong("a", "").expectEnd("not-authorized", "", "")
		}
		slow, other := wrong("a", ""), wrong("b", "127.0.0.2")
		other.expectEnd("not-authorized", "", "")
		if len(slow.items) > 0 {
			breakf("the eleventh failure was answered as fast as another's first")
		}
		st.actor("c").attach("node1.im.example", house)
		slow.expectEnd("not-authorized", "900ms", "")
	})
}

// TestIdleLinkIsPinged: a link that is silent for timers.ping is pinged (RFC 6120 4.6.3), never by white space. Pings that
// prove what was read before are over long before that.
func TestIdleLinkIsPinged(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		st.set("timers.ping=1s")
		a := st.actor("a")
		a.attach("node1.im.example", house)
		began := time.Now()
		for {
			switch d := a.ping().at.Sub(began); {
			case d >= 900*time.Millisecond:
				return
			case d >= 500*time.Millisecond:
				breakf("a ping came after %v", d)
			}
		}
	})
}

// TestAttachedWhenTold: a peer that has received <handshake/> is attached for all others, at once. Whatever they send next
// reaches it, behind the <handshake/>.
func TestAttachedWhenTold(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		a, b := st.actor("a"), st.actor("b")
		a.attach("node1.im.example", house)
		for i := range 500 {
			domain := fmt.Sprintf("x%d.im.example", i)
			b.attach(domain, house)
			a.write([]byte("<iq type='get' id='q' from='node1.im.example' to='"+domain+"'><q xmlns='u'/></iq>"), 0)
			b.expect("<iq type='get' id='q' from='node1.im.example' to='"+domain+"'><q xmlns='u'/></iq>", 1)
			b.write([]byte("<iq type='result' id='q' from='"+domain+"' to='node1.im.example'/>"), 0)
			a.expect("<iq type='result' id='q' from='"+domain+"' to='node1.im.example'/>", 1)
		}
	})
}
