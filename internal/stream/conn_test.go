package stream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// pair gives both ends of a TCP connection on loopback, and of one without a socket.
func pairs(t *testing.T) map[string][2]net.Conn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	far, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	all := map[string][2]net.Conn{"socket": {near, far}, "no socket": {a, b}}
	t.Cleanup(func() {
		for _, p := range all {
			_ = p[0].Close()
			_ = p[1].Close()
		}
	})
	return all
}

// lines is a Feed that takes whole lines only.
type lines struct{ got []string }

func (l *lines) feed(b []byte) (int, error) {
	n := 0
	for {
		i := bytes.IndexByte(b[n:], '\n')
		if i < 0 {
			return n, nil
		}
		l.got = append(l.got, string(b[n:n+i]))
		n += i + 1
	}
}

// Whatever the chunks, Feed sees every byte once it consumes it, and what it leaves comes again; the end of the
// connection that comes with the last bytes is seen.
func TestReceive(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	texts := map[string][]string{
		"one":      {"hello\n"},
		"dripped":  strings.Split("two\nlines\nand a third\n", ""),
		"together": {"a\nb\nc\n"},
		"long":     {long[:100], long[100:5000], long[5000:] + "\nshort\n"},
		"bulk":     {strings.Repeat(strings.Repeat("y", 99)+"\n", 5000)},
		"a rest":   {"whole\nhalf"},
	}
	for name, chunks := range texts {
		for kind, p := range pairs(t) {
			t.Run(name+", "+kind, func(t *testing.T) {
				go func() { // ends with its writes; Receive sees the end
					for _, c := range chunks {
						_, _ = p[1].Write([]byte(c))
					}
					_ = p[1].Close()
				}()
				l := &lines{}
				if err := NewConn(p[0]).Receive(1<<20, l.feed); !errors.Is(err, io.EOF) {
					t.Errorf("ended with %v", err)
				}
				whole := strings.Split(strings.Join(chunks, ""), "\n")
				if got, want := strings.Join(l.got, "|"), strings.Join(whole[:len(whole)-1], "|"); got != want {
					t.Errorf("got %d bytes, want %d", len(got), len(want))
				}
			})
		}
	}
}

// A Feed that never consumes is stopped at the limit.
func TestReceiveBounded(t *testing.T) {
	for kind, p := range pairs(t) {
		go func() { // ends when the other end is closed
			for {
				if _, err := p[1].Write(make([]byte, 10_000)); err != nil {
					return
				}
			}
		}()
		err := NewConn(p[0]).Receive(100_000, func([]byte) (int, error) { return 0, nil })
		if !errors.Is(err, ErrBufferFull) {
			t.Errorf("%s: ended with %v", kind, err)
		}
		_ = p[0].Close()
	}
}

// A deadline set by another goroutine, or by Feed itself, ends the wait.
func TestReceiveDeadline(t *testing.T) {
	for kind, p := range pairs(t) {
		c := NewConn(p[0])
		go func() { _, _ = p[1].Write([]byte("x")) }() // read by Receive
		err := c.Receive(100, func(b []byte) (int, error) { return len(b), c.SetReadDeadline(time.Unix(1, 0)) })
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: ended with %v", kind, err)
		}
	}
}

// TryWrite never waits: it takes what the socket takes, and nothing where there is no socket.
func TestTryWrite(t *testing.T) {
	for kind, p := range pairs(t) {
		c := NewConn(p[0])
		total := 0
		for {
			n, err := c.TryWrite(make([]byte, 1<<20))
			total += n
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if n < 1<<20 {
				break
			}
		}
		if (total > 0) != (kind == "socket") {
			t.Errorf("%s: %d bytes", kind, total)
		}
		_ = c.Close()
		if _, err := c.TryWrite([]byte("x")); kind == "socket" && err == nil {
			t.Errorf("%s: no error after Close", kind)
		}
	}
}

// Interrupt ends a Write that waits.
func TestInterrupt(t *testing.T) {
	for kind, p := range pairs(t) {
		c := NewConn(p[0])
		done := make(chan error)
		go func() { // received below
			_, err := c.Write(make([]byte, 64<<20))
			done <- err
		}()
		c.Interrupt()
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// A peer that goes on sending still gets the last bytes, and no reset.
func TestFinishLosesNothing(t *testing.T) {
	p := pairs(t)["socket"]
	c := NewConn(p[0])
	sent := make(chan error)
	go func() { // received below
		_, err := p[1].Write(make([]byte, 8<<20))
		if err == nil {
			err = p[1].(*net.TCPConn).CloseWrite()
		}
		sent <- err
	}()
	go c.Finish([]byte("</stream:stream>"), time.Second, 10*time.Second) // ends when the peer has closed
	if err := <-sent; err != nil {
		t.Fatalf("the peer's writes: %v", err)
	}
	got, err := io.ReadAll(p[1])
	if err != nil || string(got) != "</stream:stream>" {
		t.Errorf("the peer got %q, %v", got, err)
	}
}

func TestHeader(t *testing.T) {
	got := string(AppendHeader(nil, "jabber:component:accept", "node1.im.example", "abc"))
	want := "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept'" +
		" xmlns:stream='http://etherx.jabber.org/streams' from='node1.im.example' id='abc'>"
	if got != want {
		t.Errorf("got %s", got)
	}
	if a, b := NewID(), NewID(); len(a) != 32 || a == b {
		t.Errorf("ids %s and %s", a, b)
	}
}
