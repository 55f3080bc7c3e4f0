package component

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	mcomponent "mellium.im/xmpp/component"
	"mellium.im/xmpp/stanza"
)

// sink takes one node after the other on a loopback port: it ends the handshake and reads without looking, or writes
// what it is given first.
func sink(b *testing.B, feed string, times int) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				r.ReadString('>')
				io.WriteString(conn, `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' from='x' id='1'>`)
				for range 2 {
					r.ReadString('>')
				}
				io.WriteString(conn, "<handshake/>")
				for range times {
					io.WriteString(conn, feed)
				}
				io.Copy(io.Discard, r)
			}()
		}
	}()
	return ln.Addr().String()
}

func benchMessage() Message {
	return Message{Message: stanza.Message{ID: "m1", From: alice, To: bob, Type: stanza.ChatMessage}, Body: strings.Repeat("x", 130)}
}

func BenchmarkSend(b *testing.B) {
	for _, senders := range []int{1, 8} {
		b.Run(fmt.Sprintf("senders=%d", senders), func(b *testing.B) {
			n, err := Dial(b.Context(), Config{Addrs: []string{sink(b, "", 0)}, Domain: "node1.im.example", Secret: fakeSecret})
			if err != nil {
				b.Fatal(err)
			}
			m := benchMessage()
			b.ReportAllocs()
			b.SetParallelism(senders)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := n.Send(context.Background(), m.TokenReader()); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.StopTimer()
			go n.Close() // the sink does not answer the closing tag
		})
	}
}

// The library's own Send, to compare: a goroutine per stanza, and an explicit namespace on each.
func BenchmarkSessionSend(b *testing.B) {
	conn, err := net.Dial("tcp", sink(b, "", 0))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	s, err := mcomponent.NewSession(b.Context(), alice.Domain(), []byte(fakeSecret), conn)
	if err != nil {
		b.Fatal(err)
	}
	m := benchMessage()
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Send(context.Background(), m.TokenReader()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReceive(b *testing.B) {
	feed := chat("bob@im.example/web", "alice@im.example/phone", "m1", strings.Repeat("x", 130))
	count, all := 0, make(chan struct{})
	n, err := Dial(b.Context(), Config{
		Addrs: []string{sink(b, feed, b.N)}, Domain: "node1.im.example", Secret: fakeSecret,
		Handler: Messages(func(Message) {
			if count++; count == b.N {
				close(all)
			}
		}, nil),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	<-all
	b.StopTimer()
	go n.Close()
}
