package bench

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Meter counts what arrives on all links of a load.
type Meter struct {
	got  atomic.Int64
	want atomic.Int64
	wake chan struct{}
	fail chan error
}

// NewMeter makes a Meter.
func NewMeter() *Meter { return &Meter{wake: make(chan struct{}, 1), fail: make(chan error, 1)} }

// Got is how many frames have arrived.
func (m *Meter) Got() int64 { return m.got.Load() }

func (m *Meter) add(n int) {
	if want := m.want.Load(); m.got.Add(int64(n)) >= want && want > 0 {
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
}

// Fail ends each Wait with an error; the first one is kept.
func (m *Meter) Fail(err error) {
	select {
	case m.fail <- err:
	default:
	}
}

// Wait returns when n frames have arrived in all. One goroutine waits at a time.
func (m *Meter) Wait(n int64, limit time.Duration) error {
	if m.got.Load() >= n {
		return nil
	}
	m.want.Store(n)
	defer m.want.Store(0)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for m.got.Load() < n {
		select {
		case <-m.wake:
		case err := <-m.fail:
			m.Fail(err)
			return err
		case <-timer.C:
			return fmt.Errorf("wait for %d frames: %d arrived within %v", n, m.got.Load(), limit)
		}
	}
	return nil
}

// errNumber says that a frame was lost, doubled or overtaken.
var errNumber = errors.New("read frame: its number does not rise")

// Sink takes the frames of one link. It is owned by the goroutine that reads the link.
type Sink struct {
	form  *Form
	meter *Meter
	other Other
	last  []uint32 // by sending link: the highest number so far
	acks  *Acks    // of the link, nil if it is plain

	// set by anyone, called by the reader for each frame in order
	each atomic.Pointer[func(link, count uint32)]
}

// Other takes what arrives and is no frame: it returns how many bytes it used, 0 for more are needed, and what to
// answer.
type Other func(b []byte) (n int, answer []byte, err error)

// NewSink makes a Sink for frames of a number of sending links.
func NewSink(f *Form, m *Meter, links int, other Other) *Sink {
	return &Sink{form: f, meter: m, other: other, last: make([]uint32, links)}
}

// Take counts the whole frames at the start of b, and returns the bytes used and what to answer to the rest.
func (s *Sink) Take(b []byte) (n int, answer []byte, err error) {
	frames := 0
	defer func() { s.meter.add(frames) }()
	for n < len(b) {
		rest := b[n:]
		if !bytes.HasPrefix(rest, s.form.head) {
			if len(rest) < len(s.form.head) {
				return n, answer, nil
			}
			used, more, err := s.other(rest)
			n, answer = n+used, append(answer, more...)
			if used == 0 || err != nil {
				return n, answer, err
			}
			continue
		}
		if len(rest) < s.form.size {
			return n, answer, nil
		}
		if err := s.frame(rest); err != nil {
			return n, answer, err
		}
		n += s.form.size
		frames++
	}
	return n, answer, nil
}

func (s *Sink) frame(b []byte) error {
	link, count, err := s.form.parse(b)
	if err != nil {
		return err
	}
	if int(link) >= len(s.last) || count <= s.last[link] {
		return fmt.Errorf("%w: link %d, number %d", errNumber, link, count)
	}
	s.last[link] = count
	s.acks.gets()
	if each := s.each.Load(); each != nil {
		(*each)(link, count)
	}
	return nil
}
