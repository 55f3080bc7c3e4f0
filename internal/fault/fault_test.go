package fault

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	patience = 20 * time.Second      // bounds what must come
	silence  = 50 * time.Millisecond // is waited for what must not
)

// pair is a peer and the server's end of its link.
type pair struct {
	*Link
	peer, server *net.TCPConn
}

// server is where the proxies of a test go; what it accepts comes out of the channel.
func server(t *testing.T) (addr string, accepted chan *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted = make(chan *net.TCPConn, 10)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			accepted <- nc.(*net.TCPConn)
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-over
	})
	return ln.Addr().String(), accepted
}

// open opens n links through one proxy, and sees at the end that the proxy leaves no goroutine.
func open(t *testing.T, window, n int) (*Proxy, []pair) {
	t.Helper()
	addr, accepted := server(t)
	p, err := ListenWindow(addr, window)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		alone(t)
	})
	var all []pair
	for i := range n {
		x := pair{peer: dial(t, p)}
		x.server = <-accepted
		t.Cleanup(func() { _ = x.server.Close() })
		x.Link = p.Links()[i]
		all = append(all, x)
	}
	return p, all
}

func dial(t *testing.T, p *Proxy) *net.TCPConn {
	t.Helper()
	nc, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return nc.(*net.TCPConn)
}

// alone fails if a goroutine of this package runs, tests not counted.
func alone(t *testing.T) {
	t.Helper()
	b := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(b[:runtime.Stack(b, true)]), "\n\n") {
		for _, of := range []string{"fault.(*Proxy)", "fault.(*Link)", "fault.(*half)"} {
			if strings.Contains(stack, of) && !strings.Contains(stack, "fault.alone(") {
				t.Errorf("a goroutine is left:\n%s", stack)
			}
		}
	}
}

// says writes at one end and sees it at the other.
func says(t *testing.T, from, to net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(from, text); err != nil {
		t.Fatal(err)
	}
	hears(t, to, text)
}

func hears(t *testing.T, c net.Conn, text string) {
	t.Helper()
	b := make([]byte, len(text))
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != text {
		t.Fatalf("read %q, %v; want %q", b, err, text)
	}
}

// silent sees that nothing comes: no byte, no end.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(silence))
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes, %v; want silence", n, err)
	}
}

// ends sees how a connection ends.
func ends(t *testing.T, c net.Conn, with error) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, with) {
		t.Fatalf("read %d bytes, %v; want %v", n, err, with)
	}
}

func done(t *testing.T, l *Link) {
	t.Helper()
	select {
	case <-l.Done():
	case <-time.After(patience):
		t.Fatal("the link is not over")
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for late := time.Now().Add(patience); !ok(); runtime.Gosched() {
		if time.Now().After(late) {
			t.Fatalf("wait in vain for %s", what)
		}
	}
}

// full writes until a connection takes no more.
func full(t *testing.T, c *net.TCPConn) int {
	t.Helper()
	_ = c.SetWriteBuffer(4096)
	_ = c.SetWriteDeadline(time.Now().Add(4 * silence))
	n, err := c.Write(make([]byte, 16<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a link that is not read takes %d bytes: %v", n, err)
	}
	return n
}

// TestPlain sends through a link that nobody disturbs.
func TestPlain(t *testing.T) {
	p, links := open(t, 0, 2)
	x := links[0]
	says(t, x.peer, x.server, "up")
	says(t, x.server, x.peer, "down")
	eventually(t, "2 bytes up and 4 down", func() bool { return x.Bytes(ToServer) == 2 && x.Bytes(ToPeer) == 4 && p.Bytes(Both) == 6 })
	if err := x.peer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	ends(t, x.server, io.EOF)
	says(t, x.server, x.peer, "half closed")
	_ = x.server.Close()
	ends(t, x.peer, io.EOF)
	done(t, x.Link)
	says(t, links[1].peer, links[1].server, "the other link lives")
}

// TestPassedOn sees that a reset of either end reaches the other, and that a server that is not there is one.
func TestPassedOn(t *testing.T) {
	_, links := open(t, 0, 2)
	for i, c := range [][2]*net.TCPConn{{links[0].peer, links[0].server}, {links[1].server, links[1].peer}} {
		_ = c[0].SetLinger(0)
		_ = c[0].Close()
		ends(t, c[1], syscall.ECONNRESET)
		done(t, links[i].Link)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	p, err := Listen(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.Partition()
	c := dial(t, p)
	p.Heal()
	ends(t, c, syscall.ECONNRESET)
}

// TestReset resets one end, the other, and both, and cuts one.
func TestReset(t *testing.T) {
	p, links := open(t, 0, 4)
	both, server, peer, cut := links[0], links[1], links[2], links[3]
	both.Reset(Both)
	ends(t, both.peer, syscall.ECONNRESET)
	ends(t, both.server, syscall.ECONNRESET)
	done(t, both.Link)

	server.Reset(ToServer)
	ends(t, server.server, syscall.ECONNRESET)
	silent(t, server.peer)

	peer.HalfOpen()
	ends(t, peer.peer, syscall.ECONNRESET)
	_ = peer.peer.Close()
	silent(t, peer.server)
	full(t, peer.server)
	peer.Resume(Both)
	silent(t, peer.server)
	if n := peer.Bytes(Both); n != 0 {
		t.Errorf("%d bytes passed", n)
	}

	cut.Cut(ToServer)
	ends(t, cut.server, io.EOF)
	_ = cut.peer.SetWriteDeadline(time.Now().Add(patience))
	if _, err := cut.peer.Write(make([]byte, 16<<20)); err != nil {
		t.Errorf("what nobody gets is not taken: %v", err)
	}
	says(t, cut.server, cut.peer, "the other way is open")
	if n := cut.Bytes(ToServer); n != 0 {
		t.Errorf("%d bytes passed", n)
	}

	p.Reset(Both)
	ends(t, peer.server, syscall.ECONNRESET)
	ends(t, server.peer, syscall.ECONNRESET)
	for _, x := range links {
		done(t, x.Link)
	}
}

// TestYoung resets links at random moments of their first breath: each ends as it should at both ends.
func TestYoung(t *testing.T) {
	addr, accepted := server(t)
	p, err := Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := range 200 {
		c := dial(t, p)
		far := <-accepted
		l := p.Links()[i]
		if i%2 == 0 {
			l.Reset(Both)
			ends(t, far, syscall.ECONNRESET)
			done(t, l)
		} else {
			l.Cut(ToServer)
			ends(t, far, io.EOF)
		}
		_, _ = c.Close(), far.Close()
	}
}

// TestPartition parts two links and a peer that is to come.
func TestPartition(t *testing.T) {
	addr, accepted := server(t)
	p, err := Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	old := dial(t, p)
	far := <-accepted
	defer far.Close()
	p.Links()[0].Stall(ToPeer)
	p.Partition()
	for _, c := range []net.Conn{old, far} {
		if _, err := io.WriteString(c, "across"); err != nil {
			t.Fatal(err)
		}
		silent(t, c)
	}
	young := dial(t, p)
	if _, err := io.WriteString(young, "young"); err != nil {
		t.Fatal(err)
	}
	silent(t, young)
	select {
	case <-accepted:
		t.Error("a connection crosses a partition")
	default:
	}
	p.Heal()
	hears(t, far, "across")
	silent(t, old)
	p.Resume(Both)
	hears(t, old, "across")
	fresh := <-accepted
	defer fresh.Close()
	hears(t, fresh, "young")
	p.Partition()
	dial(t, p) // is waiting when the proxy closes
}
