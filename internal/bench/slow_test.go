package bench

import (
	"bufio"
	"bytes"
	"sync/atomic"
	"testing"
)

const (
	slowNodes = 3       // that one node sends to, in turn
	slowCount = 900_000 // a third of it is 75 MB, well above limits.queue
)

// BenchmarkSlow is what two nodes still get when the third, to which the same node sends, stops reading.
func BenchmarkSlow(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(0, "ns/op")
		for role, prefix := range map[string]string{"patchbay": "", "nats": "nats-"} {
			var all, stuck []slowFigures
			for range rounds {
				all = append(all, slow(start(b, role), 0))
				stuck = append(stuck, slow(start(b, role), slowNodes))
			}
			good, left := median(all, slowFigures.perSecond), median(stuck, slowFigures.perSecond)
			b.ReportMetric(median(all, slowFigures.ns), prefix+"ns-cpu/stanza")
			b.ReportMetric(good, prefix+"stanzas/s")
			b.ReportMetric(left, prefix+"stanzas/s-stuck")
			b.ReportMetric(left/good, prefix+"kept")
			b.ReportMetric(median(all, slowFigures.mib), prefix+"MiB-grown")
			b.ReportMetric(median(stuck, slowFigures.mib), prefix+"MiB-grown-stuck")
			b.ReportMetric(median(stuck, slowFigures.errors), prefix+"errors")
		}
	}
}

// slowFigures are what one round showed.
type slowFigures struct {
	rate    float64 // stanzas a second to the first two nodes
	grown   int64   // bytes of RSS
	bounced int64   // error stanzas that the sender got
	cpu     float64 // ns of the server for each stanza sent
}

func (f slowFigures) perSecond() float64 { return f.rate }
func (f slowFigures) ns() float64        { return f.cpu }
func (f slowFigures) mib() float64       { return float64(f.grown) / (1 << 20) }
func (f slowFigures) errors() float64    { return float64(f.bounced) }

// slow sends to three nodes in turn, of which the one numbered mute, counted from 1, does not read.
func slow(c *child, mute int) slowFigures {
	c.tb.Helper()
	defer c.stop()
	send, links := c.link(sendNode), c.links(Range{N: slowNodes}, c.dialPlain)
	defer hangUp(links)
	c.ready(links...)
	f := MessageForm(sendNode, manyAddress, 250, 0)
	if c.role == "nats" {
		f = natsForm("n."+ToDigits, f)
	}
	names := Names{To: Range{N: slowNodes}, InTurn: true, Mute: mute}
	l := &Load{Source: NewSource(f, names, 1, batch/len(f.sent)), Senders: []*Link{send},
		Window: int64(window / f.size), Limit: roundTime, Meter: NewMeter()}
	defer l.Close()
	var got [2]atomic.Int64 // frames of the first two nodes
	for i, link := range links {
		if c.role == "nats" {
			if err := subscribe(link, bufio.NewReader(link.Conn), Range{Lo: i, N: 1}, "n."+ToDigits); err != nil {
				c.tb.Fatal(err)
			}
		}
		if i+1 == mute {
			continue
		}
		sink := NewSink(f, l.Meter, 1, link.Other)
		if i < len(got) {
			count := func(_, _ uint32) { got[i].Add(1) }
			sink.each.Store(&count)
		}
		l.Take(link, sink, 256<<10)
	}
	var bounced atomic.Int64
	l.Skip(send, func(b []byte) { bounced.Add(int64(bytes.Count(b, []byte("</error>")))) })
	if mute == 0 {
		defer c.profile()()
	}
	before, cpu := c.memory(), c.cpu()
	took, err := l.Run(slowCount)
	if err != nil {
		c.tb.Fatalf("%s: %v", c.role, err)
	}
	return slowFigures{rate: float64(got[0].Load()+got[1].Load()) / took.Seconds(), grown: c.memory() - before,
		bounced: bounced.Load(), cpu: float64(c.cpu()-cpu) / slowCount}
}
