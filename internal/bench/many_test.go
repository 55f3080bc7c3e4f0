package bench

import (
	"bufio"
	"testing"
	"time"
)

// manyNodes is how many nodes are attached where their number is what costs.
const manyNodes = 1000

var (
	manyAddress = "node" + ToDigits + "." + benchUsers
	manySender  = "node" + FromDigits + "." + benchUsers
)

// BenchmarkMany is the cost of one 250-byte stanza between two of 1000 nodes by chance, one stanza a write.
func BenchmarkMany(b *testing.B) {
	for b.Loop() {
		form := MessageForm(manySender, manyAddress, 250, 0)
		compare(b, 100_000, servers{many(start(b, "patchbay"), form), many(acked(b), form), many(noProof(b), form),
			many(start(b, "nats"), natsForm("n."+ToDigits, form))})
	}
}

// many attaches the nodes; each sends and receives.
func many(c *child, f *Form) rig {
	links := c.links(Range{N: manyNodes}, c.dialPlain)
	c.ready(links...)
	l := &Load{Source: NewSource(f, Names{To: Range{N: manyNodes}}, manyNodes, 1), Senders: links,
		Window: manyNodes, Limit: roundTime, Meter: NewMeter()}
	for i, link := range links {
		if c.role == "nats" {
			if err := subscribe(link, bufio.NewReader(link.Conn), Range{Lo: i, N: 1}, "n."+ToDigits); err != nil {
				c.tb.Fatal(err)
			}
		}
		l.Take(link, NewSink(f, l.Meter, manyNodes, link.Other), 4<<10)
	}
	c.tb.Cleanup(l.Close)
	return rig{c, l}
}

// BenchmarkAttach is the cost of attaching one node.
func BenchmarkAttach(b *testing.B) {
	for b.Loop() {
		var us, them []figures
		for round := range rounds {
			us = append(us, attach(start(b, "patchbay"), round == 0))
			them = append(them, attach(start(b, "nats"), false))
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(median(us, figures.ns)/1e3, "us-cpu/attach")
		b.ReportMetric(median(them, figures.ns)/1e3, "nats-us-cpu/attach")
		b.ReportMetric(median(us, figures.perSecond), "attaches/s")
		b.ReportMetric(median(them, figures.perSecond), "nats-attaches/s")
	}
}

// attach attaches the nodes to a new server, after some that warm it up.
func attach(c *child, profiled bool) figures {
	defer c.stop()
	defer answer(c.links(Range{Lo: manyNodes, N: atOnce}, c.dialPlain)).Close()
	c.settle()
	if profiled {
		defer c.profile()()
	}
	cpu, began := c.cpu(), time.Now()
	links := c.links(Range{N: manyNodes}, c.dialPlain)
	took := time.Since(began)
	defer answer(links).Close()
	c.settle() // what follows the answer, such as a commit, is a part of the cost
	return figures{cpu: float64(c.cpu()-cpu) / manyNodes, rate: manyNodes / took.Seconds()}
}
