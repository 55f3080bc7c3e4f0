package fault

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestStall stalls one way while it is busy, both ways, and a link to come.
func TestStall(t *testing.T) {
	p, links := open(t, 0, 1)
	x := links[0]
	x.Stall(ToPeer)
	if _, err := io.WriteString(x.server, "later"); err != nil {
		t.Fatal(err)
	}
	silent(t, x.peer)
	says(t, x.peer, x.server, "now")
	p.Stall(Both)
	if _, err := io.WriteString(x.peer, "later too"); err != nil {
		t.Fatal(err)
	}
	silent(t, x.server)
	young := dial(t, p)
	if _, err := io.WriteString(young, "young"); err != nil {
		t.Fatal(err)
	}
	silent(t, young)
	p.Resume(ToServer)
	hears(t, x.server, "later too")
	silent(t, x.peer)
	x.Resume(ToPeer)
	hears(t, x.peer, "later")
	if n := p.Links()[1].Bytes(ToServer); len(p.Links()) != 2 || n > 5 {
		t.Errorf("%d links, %d bytes", len(p.Links()), n)
	}
}

// TestStallIsPunctual stalls a link under load: what has passed when Stall returns is all that passes.
func TestStallIsPunctual(t *testing.T) {
	_, links := open(t, 0, 1)
	x := links[0]
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(x.server, endless{}) })
	both.Go(func() { _, _ = io.Copy(io.Discard, x.peer) })
	for range 20 {
		begun := x.Bytes(ToPeer)
		eventually(t, "a MiB to pass", func() bool { return x.Bytes(ToPeer) > begun+1<<20 })
		x.Stall(ToPeer)
		at := x.Bytes(ToPeer)
		silent(t, x.server)
		if now := x.Bytes(ToPeer); now != at {
			t.Errorf("%d bytes passed a stall", now-at)
		}
		x.Resume(ToPeer)
	}
	x.Reset(Both)
	both.Wait()
}

// endless is a source of zeros.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// TestWindow sees how much a server can write to a stalled link.
func TestWindow(t *testing.T) {
	took := func(window int) (n int) {
		t.Run("", func(t *testing.T) {
			_, links := open(t, window, 1)
			links[0].Stall(ToPeer)
			n = full(t, links[0].server)
		})
		return n
	}
	wide, narrow := took(0), took(4096)
	t.Logf("the system's buffers take %d bytes, small ones %d", wide, narrow)
	if narrow > 32<<10 || narrow >= wide {
		t.Error("the buffers are not small")
	}
}

// TestDrip sees that bytes take their time, that a change of the pace wakes the pump, and that none is lost.
func TestDrip(t *testing.T) {
	p, links := open(t, 0, 1)
	x := links[0]
	p.Drip(ToPeer, 10, 5*time.Millisecond)
	text := strings.Repeat("0123456789", 10)
	begun := time.Now()
	says(t, x.server, x.peer, text)
	if took := time.Since(begun); took < 9*5*time.Millisecond {
		t.Errorf("10 drops came in %v", took)
	}
	x.Drip(ToPeer, 1, time.Hour)
	if _, err := io.WriteString(x.server, text); err != nil {
		t.Fatal(err)
	}
	silent(t, x.peer)
	x.Drip(ToPeer, 0, 0)
	hears(t, x.peer, text)
}

// TestDelay sees that bytes come late, but not one after the other.
func TestDelay(t *testing.T) {
	const delay, words = 100 * time.Millisecond, 50
	p, links := open(t, 0, 1)
	x := links[0]
	p.Delay(Both, delay)
	begun := time.Now()
	says(t, x.peer, x.server, "ask")
	says(t, x.server, x.peer, "answer")
	if took := time.Since(begun); took < 2*delay {
		t.Errorf("there and back took %v", took)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		tick := time.NewTicker(delay / 12)
		defer tick.Stop()
		for range words {
			<-tick.C
			_, _ = io.WriteString(x.peer, "word")
		}
	}()
	reads, got := 0, 0
	for b := make([]byte, 1000); got < 4*words; reads++ {
		_ = x.server.SetReadDeadline(time.Now().Add(patience))
		n, err := x.server.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	if <-sent; reads < 10 { // 5 if each waits for the one before it
		t.Errorf("%d words came in %d heaps", words, reads)
	}
	for _, word := range []string{"open", "ended"} {
		x.Delay(ToServer, time.Hour)
		if _, err := io.WriteString(x.peer, word); err != nil {
			t.Fatal(err)
		}
		if word == "ended" {
			_ = x.peer.CloseWrite()
		}
		silent(t, x.server)
		x.Delay(ToServer, 0)
		hears(t, x.server, word)
	}
	ends(t, x.server, io.EOF)
}

// TestStuck changes a link whose peer reads nothing: no change waits for the peer.
func TestStuck(t *testing.T) {
	_, links := open(t, 0, 1)
	x := links[0]
	n := full(t, x.server)
	x.Stall(ToPeer)
	x.Delay(Both, time.Millisecond)
	x.Resume(ToPeer)
	hears(t, x.peer, string(make([]byte, n)))
	silent(t, x.peer)
	full(t, x.server)
	x.Cut(ToPeer)
	x.HalfOpen()
}

// TestStorm changes everything that keeps a link whole at random while both ways are busy: not a byte is lost, doubled
// or out of place.
func TestStorm(t *testing.T) {
	const size = 16 << 20
	_, links := open(t, 4096, 1)
	x := links[0]
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	text := make([]byte, size)
	for i := range text {
		text[i] = byte(i ^ i>>8 ^ i>>16)
	}
	var all sync.WaitGroup
	calm := make(chan struct{})
	for i, c := range [][2]*net.TCPConn{{x.peer, x.server}, {x.server, x.peer}} {
		all.Go(func() {
			_, _ = c[0].Write(text)
			_ = c[0].CloseWrite()
		})
		all.Go(func() {
			_ = c[1].SetReadDeadline(time.Now().Add(patience))
			if b, err := io.ReadAll(c[1]); err != nil || !bytes.Equal(b, text) {
				t.Errorf("way %d: %d bytes of %d, %v", i, len(b), size, err)
			}
		})
	}
	for n := range uint64(3) {
		all.Go(func() { storm(x.Link, rand.New(rand.NewPCG(seed, n)), calm) })
	}
	time.AfterFunc(300*time.Millisecond, func() { close(calm) })
	<-calm
	t.Logf("%d of %d bytes passed in the storm", x.Bytes(Both), 2*size)
	all.Wait()
	done(t, x.Link)
}

// storm leaves everything as it was.
func storm(l *Link, rng *rand.Rand, calm <-chan struct{}) {
	for {
		w := Way(1 + rng.IntN(3))
		switch rng.IntN(6) {
		case 0:
			l.Stall(w)
		case 1, 2:
			l.Resume(w)
		case 3:
			l.Drip(w, rng.IntN(2000), time.Duration(rng.IntN(int(time.Millisecond))))
		case 4:
			l.Delay(w, time.Duration(rng.IntN(int(5*time.Millisecond))))
		case 5:
			l.p.Partition()
			l.p.Heal()
		}
		select {
		case <-calm:
			l.Resume(Both)
			l.Drip(Both, 0, 0)
			l.Delay(Both, 0)
			return
		default:
			runtime.Gosched()
		}
	}
}
