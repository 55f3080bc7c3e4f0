package bench

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// One message for a large group: so many users on so many nodes, in so many stanzas.
const (
	fanUsers   = 10_000
	fanNodes   = 20
	fanStanzas = 5
)

// fanVariants are how the addresses are written, and what the nodes say they can.
var fanVariants = []struct {
	name, kind string
	multicast  bool
}{
	{"bcc", "bcc", true},
	{"to", "to", true},
	{"bcc-expanded", "bcc", false},
	{"to-expanded", "to", false},
}

// BenchmarkFanOut sends one message to a group (XEP-0033), and counts what leaves the server for it.
func BenchmarkFanOut(b *testing.B) {
	for _, v := range fanVariants {
		b.Run(v.name, func(b *testing.B) {
			for b.Loop() {
				f := fanOut(b, v.kind, v.multicast)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(f.stanzas), "stanzas")
				b.ReportMetric(float64(f.errors), "errors")
				b.ReportMetric(float64(f.bytes)/(1<<20), "MiB")
				b.ReportMetric(float64(f.took.Microseconds())/1e3, "ms")
				b.ReportMetric(float64(f.cpu.Nanoseconds())/1e3/fanUsers, "us-cpu/user")
			}
		})
	}
}

// fanFigures are what one message to a group came to.
type fanFigures struct {
	stanzas, errors, bytes int64
	took, cpu              time.Duration
}

func fanOut(b *testing.B, kind string, multicast bool) fanFigures {
	b.Helper()
	c := start(b, "patchbay")
	send, links := c.link(sendNode), c.links(Range{N: fanNodes}, c.dialPlain)
	defer hangUp(append(links, send))
	for i, l := range links {
		if multicast {
			l.Other = answerFeatures
		}
		jid := "u" + ToDigits + "@" + benchUsers + "/phone"
		if err := Announce(l, benchUsers, Range{Lo: i * fanUsers / fanNodes, N: fanUsers / fanNodes}, jid); err != nil {
			b.Fatal(err)
		}
	}
	c.ready(links...) // the answers to what the server asked have been read
	load := &Load{Meter: NewMeter()}
	defer load.Close()
	var f fanFigures
	var stanzas, errs, octets, ended atomic.Int64
	done := make(chan struct{})
	count := func(to *atomic.Int64, n int) {
		to.Add(int64(n))
		if total := ended.Add(int64(n)); n > 0 && total-int64(n) < expected(multicast) && total >= expected(multicast) {
			close(done)
		}
	}
	for _, l := range links {
		load.Skip(l, func(part []byte) {
			octets.Add(int64(len(part)))
			count(&stanzas, bytes.Count(part, []byte("</body>")))
		})
	}
	load.Skip(send, func(part []byte) { count(&errs, bytes.Count(part, []byte(" jid='"))) })
	cpu, began := c.cpu(), time.Now()
	for i := range fanStanzas {
		if _, err := send.Conn.Write(groupMessage(i, kind)); err != nil {
			b.Fatal(err)
		}
	}
	select {
	case <-done:
	case <-time.After(roundTime):
		b.Fatalf("%d stanzas and %d failed addresses of %d after %v", stanzas.Load(), errs.Load(), expected(multicast), roundTime)
	}
	f.took = time.Since(began)
	c.settle()
	f.cpu, f.stanzas, f.bytes, f.errors = c.cpu()-cpu, stanzas.Load(), octets.Load(), errs.Load()
	return f
}

// expected is how many stanzas have to arrive: one for each node and message, or one for each user.
func expected(multicast bool) int64 {
	if multicast {
		return fanNodes * fanStanzas
	}
	return fanUsers
}

// groupMessage is the message number i, to its share of the users, of all nodes in turn.
func groupMessage(i int, kind string) []byte {
	b := fmt.Appendf(nil, "<message type='chat' id='g%d' from='%s' to='%s'><addresses xmlns='%s'>", i, sendNode, benchUsers, stanza.NSAddress)
	for k := i; k < fanUsers; k += fanStanzas {
		b = fmt.Appendf(b, "<address type='%s' jid='u%0*d@%s'/>", kind, nameDigits, k, benchUsers)
	}
	return append(b, "</addresses><body>Meet us all at the usual place.</body></message>"...)
}

// answerFeatures answers the server's question what a node can do, and its pings.
func answerFeatures(b []byte) (n int, answer []byte, err error) {
	n, answer, err = answerPing(b)
	if bytes.Contains(b[:n], []byte("disco#info")) {
		answer = bytes.Replace(answer, []byte("/>"), []byte("><query xmlns='http://jabber.org/protocol/disco#info'><feature var='"+
			stanza.NSAddress+"'/></query></iq>"), 1)
	}
	return n, answer, err
}
