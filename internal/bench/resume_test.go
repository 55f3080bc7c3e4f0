package bench

import (
	"net"
	"testing"
	"time"
)

// BenchmarkResume is the cost of a link that drops and is resumed, when all of 1000 do at one time.
func BenchmarkResume(b *testing.B) {
	for b.Loop() {
		c := acked(b)
		links := c.links(Range{N: manyNodes}, c.dialPlain)
		c.ready(links...)
		load := answer(links)
		var dropped, resumed []figures
		for range rounds + 1 {
			cpu := c.cpu()
			load.Close()
			c.settle()
			dropped = append(dropped, figures{cpu: float64(c.cpu()-cpu) / manyNodes})

			cpu, began := c.cpu(), time.Now()
			links = c.all(manyNodes, c.dialPlain, func(conn net.Conn, i int) (*Link, error) { return c.modern.Resume(conn, links[i]) })
			took := time.Since(began)
			c.settle()
			resumed = append(resumed, figures{cpu: float64(c.cpu()-cpu) / manyNodes, rate: manyNodes / took.Seconds()})
			c.ready(links...) // each is of use
			load = answer(links)
		}
		load.Close()
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(median(dropped[1:], figures.ns)/1e3, "us-cpu/drop")
		b.ReportMetric(median(resumed[1:], figures.ns)/1e3, "us-cpu/resume")
		b.ReportMetric(median(resumed[1:], figures.perSecond), "resumes/s")
		c.stop()
	}
}
