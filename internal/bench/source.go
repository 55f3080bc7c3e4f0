package bench

import "math/rand/v2"

// Range is the names from Lo on, N of them.
type Range struct{ Lo, N int }

// pick gives one name of the range by chance.
func (r Range) pick(rng *rand.PCG) uint32 {
	// The high bits of a product instead of a division: this runs for each stanza that is sent.
	return uint32(r.Lo) + uint32((rng.Uint64()>>32)*uint64(r.N)>>32)
}

// Names says which digits a Source writes. The zero Range of From is: the sending link's own number.
type Names struct {
	From, To Range
	InTurn   bool // To goes round instead of by chance
	Mute     int  // with InTurn: this one of To, counted from 1, does not read, so its frames are not due; 0 is none
}

// Source makes frames. It is owned by the goroutine of Load.Run.
type Source struct {
	form   *Form
	names  Names
	rng    *rand.PCG
	counts []uint32 // by link: frames made
	turn   int
	due    int64 // frames that must arrive
	buf    []byte
}

// NewSource makes a Source for a number of sending links, which writes up to batch frames at a time.
func NewSource(f *Form, names Names, links, batch int) *Source {
	s := &Source{form: f, names: names, rng: rand.NewPCG(1, 2), counts: make([]uint32, links)}
	for range batch {
		s.buf = append(s.buf, f.sent...)
	}
	return s
}

// Batch is the most frames that Next makes.
func (s *Source) Batch() int { return len(s.buf) / len(s.form.sent) }

// Next gives n frames from a link, good until the next call.
func (s *Source) Next(link, n int) []byte {
	f, size := s.form, len(s.form.sent)
	for i := range n {
		b := s.buf[i*size : (i+1)*size]
		s.counts[link]++
		at := b[f.number:]
		putHex(at[:linkDigits], uint32(link))
		putHex(at[linkDigits:linkDigits+countDigits], s.counts[link])
		if f.from >= 0 {
			putDecimal(b[f.from:f.from+nameDigits], s.sender(link))
		}
		to := s.recipient()
		if f.to >= 0 {
			putDecimal(b[f.to:f.to+nameDigits], to)
		}
	}
	return s.buf[:n*size]
}

func (s *Source) sender(link int) uint32 {
	if s.names.From.N == 0 {
		return uint32(link)
	}
	return s.names.From.pick(s.rng)
}

func (s *Source) recipient() uint32 {
	s.due++
	if !s.names.InTurn {
		return s.names.To.pick(s.rng)
	}
	s.turn = s.turn%s.names.To.N + 1
	if s.turn == s.names.Mute {
		s.due--
	}
	return uint32(s.names.To.Lo + s.turn - 1)
}

// Due is how many frames must have arrived when all is done.
func (s *Source) Due() int64 { return s.due }
