package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Paced sends single frames at a steady pace, and measures each from the moment it was due to leave, not from the
// moment it left: a server that stalls also delays what would have been sent meanwhile (coordinated omission).
type Paced struct {
	Load *Load
	Sink *Sink // of the only link that receives
	Rate int   // frames a second
}

// Run sends count frames and gives their delays in nanoseconds.
func (p *Paced) Run(count int) (*hdrhistogram.Histogram, error) {
	hist := hdrhistogram.New(1000, int64(10*time.Second), 3)
	step := time.Second / time.Duration(p.Rate)
	first := p.Load.Source.counts[0] + 1
	began := time.Now()
	each := func(_, number uint32) {
		due := began.Add(time.Duration(number-first) * step)
		_ = hist.RecordValue(min(max(int64(time.Since(due)), 1000), int64(10*time.Second)))
	}
	p.Sink.each.Store(&each)
	defer p.Sink.each.Store(nil)
	defer punctual()()
	for i := range count {
		if wait := time.Until(began.Add(time.Duration(i) * step)); wait > 0 {
			pause(wait)
		}
		if err := p.Load.send(1); err != nil {
			return nil, err
		}
	}
	err := p.Load.Meter.Wait(p.Load.Source.Due(), p.Load.Limit)
	return hist, err
}
