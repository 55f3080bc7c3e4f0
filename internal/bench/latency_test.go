package bench

import (
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// BenchmarkLatency is the delay of a 250-byte stanza from node to node at 10 000 a second, one stanza a write.
func BenchmarkLatency(b *testing.B) {
	const rate, count = 10_000, 20_000
	s := scenes[0].scene
	for b.Loop() {
		all := []*Paced{s.paced(start(b, "patchbay"), rate), s.paced(acked(b), rate), s.paced(noProof(b), rate), s.paced(start(b, "nats"), rate)}
		for _, p := range all {
			delays(b, p, count/4)
		}
		seen := make([][]*hdrhistogram.Histogram, len(all))
		for range rounds {
			for i, p := range all {
				seen[i] = append(seen[i], delays(b, p, count))
			}
		}
		b.ReportMetric(0, "ns/op")
		for name, get := range map[string]func(*hdrhistogram.Histogram) float64{
			"us-p50": func(h *hdrhistogram.Histogram) float64 { return float64(h.ValueAtQuantile(50)) / 1e3 },
			"us-p99": func(h *hdrhistogram.Histogram) float64 { return float64(h.ValueAtQuantile(99)) / 1e3 },
		} {
			b.ReportMetric(median(seen[0], get), name)
			b.ReportMetric(median(seen[1], get), "acked-"+name)
			b.ReportMetric(median(seen[2], get), "noproof-"+name)
			b.ReportMetric(median(seen[3], get), "nats-"+name)
		}
	}
}

func (s *scene) paced(c *child, rate int) *Paced {
	send, take := c.link(sendNode), c.link(takeNode)
	form := s.form(c, take)
	l := &Load{Source: NewSource(form, s.names, 1, 1), Senders: []*Link{send}, Limit: roundTime, Meter: NewMeter()}
	sink := NewSink(form, l.Meter, 1, take.Other)
	l.Take(take, sink, 64<<10)
	l.Take(send, NewSink(form, l.Meter, 1, send.Other), 4<<10)
	c.tb.Cleanup(l.Close)
	return &Paced{Load: l, Sink: sink, Rate: rate}
}

func delays(tb testing.TB, p *Paced, count int) *hdrhistogram.Histogram {
	tb.Helper()
	h, err := p.Run(count)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}
