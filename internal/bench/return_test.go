package bench

import (
	"strconv"
	"testing"
	"time"
)

const backNode = "node0000000." + benchUsers // the first of child.links

// BenchmarkReturn sends 1 GiB to a node that is away, and then lets it return: how long it takes until the last of it has arrived,
// in order.
func BenchmarkReturn(b *testing.B) {
	total := 1 << 30
	if testing.Short() {
		total /= 8
	}
	for b.Loop() {
		c := start(b, "patchbay", dataEnv+"="+b.TempDir(), memoryEnv+"="+strconv.Itoa(1<<30))
		send := c.link(sendNode)
		hangUp(c.links(Range{N: 1}, c.dialPlain)) // it is asked nothing: an answer that is not proved would come again
		c.settle()                                // the server knows that it is away
		form := LateForm(sendNode, backNode, benchServer, floodBody)
		f := newFlood(send, form, Range{N: 1})
		c.forget()
		cpu, began := c.cpu(), time.Now()
		if err := f.pour(total); err != nil {
			b.Fatal(err)
		}
		poured := time.Since(began)
		c.settle()
		stored := c.cpu() - cpu
		filled := c.peak()

		end := c.profile()
		c.forget()
		cpu, began = c.cpu(), time.Now()
		take := c.links(Range{N: 1}, c.dialPlain)[0]
		f.Take(take, NewSink(form, f.Meter, 1, take.Other), 256<<10)
		f.finish(c)
		drained := time.Since(began)
		c.settle()
		end()
		n := float64(f.Meter.Got())
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(drained.Seconds(), "s-drain")
		b.ReportMetric(n*float64(form.Size())/(1<<20)/drained.Seconds(), "MiB/s-drain")
		b.ReportMetric(float64((c.cpu()-cpu).Microseconds())/n, "us-cpu/drained")
		b.ReportMetric(float64(c.peak())/(1<<20), "MiB-peak-drain")
		b.ReportMetric(poured.Seconds(), "s-fill")
		b.ReportMetric(float64(stored.Microseconds())/n, "us-cpu/stored")
		b.ReportMetric(float64(filled)/(1<<20), "MiB-peak-fill")
		b.ReportMetric(float64(f.bounced.Load()), "bounced")
		f.Close()
		c.stop()
	}
}
