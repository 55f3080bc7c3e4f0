package bench

import (
	"strconv"
	"testing"
	"time"
)

const (
	stuckPairs = 2      // nodes that send to a node of their own meanwhile
	pairRound  = 50_000 // stanzas of one measurement
	stuckFrom  = 100    // the first node that does not read; those below are of pairs
)

// stuckScenes are how many nodes stop reading, what is sent to all of them together, and limits.memory.
var stuckScenes = []struct {
	name   string
	nodes  int
	total  int
	memory int64
}{
	{"1x1GiB/memory1GiB", 1, 1 << 30, 1 << 30},
	{"1x1GiB/memory256MiB", 1, 1 << 30, 256 << 20},
	{"50x60MiB/memory1GiB", 50, 3000 << 20, 1 << 30},
	{"50x60MiB/memory256MiB", 50, 3000 << 20, 256 << 20},
}

// BenchmarkStuck is what other nodes still get, and what memory the server takes, while nodes do not read what is sent to them; and
// then they read, and have to get all that was not bounced, in order.
func BenchmarkStuck(b *testing.B) {
	for _, s := range stuckScenes {
		b.Run(s.name, func(b *testing.B) {
			total := s.total
			if testing.Short() {
				total /= 8
			}
			for b.Loop() {
				c := start(b, "patchbay", dataEnv+"="+b.TempDir(), memoryEnv+"="+strconv.FormatInt(s.memory, 10))
				stuck(b, c, s.nodes, total)
				most := float64(c.peak())
				b.ReportMetric(most/(1<<20), "MiB-peak")
				b.ReportMetric(most/float64(s.memory), "of-limit")
				c.stop()
			}
		})
	}
}

func stuck(b *testing.B, c *child, nodes, total int) {
	b.Helper()
	pairs := newPairs(c)
	defer pairs.Close()
	var valves []*valve
	names := Range{Lo: stuckFrom, N: nodes}
	links := c.links(names, c.dialPlain)
	c.ready(links...)
	form := MessageForm(sendNode, manyAddress, 0, floodBody)
	f := newFlood(c.link(sendNode), form, names)
	defer f.Close()
	for _, link := range links {
		v := &valve{Conn: link.Conn}
		link.Conn = v
		valves = append(valves, v)
		f.Take(link, NewSink(form, f.Meter, 1, link.Other), 256<<10)
	}
	pairs.during(b, c, func() error { return f.pour(total / 8) }) // warm
	before := pairs.during(b, c, func() error { return f.pour(total / 2) })
	f.finish(c)
	c.settle()

	c.forget()
	end := c.profile()
	for _, v := range valves {
		v.shut()
	}
	filling := pairs.during(b, c, func() error { return f.pour(total) })
	end()
	c.settle()
	full := pairs.during(b, c, func() error {
		pause(2 * time.Second)
		return nil
	})
	told := f.bounced.Load()
	began := time.Now()
	for _, v := range valves {
		v.open()
	}
	untold := f.finish(c)
	back := time.Since(began)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(before.rate, "stanzas/s-before")
	b.ReportMetric(filling.rate, "stanzas/s-filling")
	b.ReportMetric(full.rate, "stanzas/s-stuck")
	b.ReportMetric(filling.rate/before.rate, "kept-filling")
	b.ReportMetric(before.cpu, "cores-before")
	b.ReportMetric(filling.cpu, "cores-filling")
	b.ReportMetric(full.cpu, "cores-stuck")
	b.ReportMetric(float64(told)+float64(untold), "bounced")
	b.ReportMetric(float64(untold), "untold")
	b.ReportMetric(back.Seconds(), "s-drain")
}

// pairs are nodes with nothing stuck.
type pairs struct{ *Load }

func newPairs(c *child) pairs {
	c.tb.Helper()
	form := MessageForm(manySender, manyAddress, 250, 0)
	takers := Range{Lo: stuckPairs, N: stuckPairs}
	send, take := c.links(Range{N: stuckPairs}, c.dialPlain), c.links(takers, c.dialPlain)
	c.ready(append(send, take...)...)
	l := &Load{Source: NewSource(form, Names{To: takers}, stuckPairs, batch/len(form.sent)), Senders: send, Window: int64(window / form.size),
		Limit: roundTime, Meter: NewMeter()}
	for _, link := range take {
		l.Take(link, NewSink(form, l.Meter, stuckPairs, link.Other), 256<<10)
	}
	for _, link := range send {
		l.Take(link, NewSink(form, l.Meter, stuckPairs, link.Other), 4<<10)
	}
	return pairs{l}
}

// during gives what the pairs get while do runs, per second, and how many cores the server takes for all.
func (p pairs) during(b *testing.B, c *child, do func() error) (f figures) {
	b.Helper()
	done := make(chan error, 1)
	go func() { done <- do() }() // done has its end
	cpu, began, n := c.cpu(), time.Now(), 0
	for over := false; !over; n += pairRound {
		if _, err := p.Run(pairRound); err != nil {
			b.Fatal(err)
		}
		select {
		case err := <-done:
			if over = true; err != nil {
				b.Fatal(err)
			}
		default:
		}
	}
	took := time.Since(began)
	return figures{rate: float64(n) / took.Seconds(), cpu: float64(c.cpu()-cpu) / float64(took)}
}
