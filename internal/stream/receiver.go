package stream

import "sync"

// The sizes of lent buffers. A reader begins with 4 KiB, moves to 64 KiB when a read filled them, and stays
// there as long as its peer sends in bulk. A TLS reader keeps its buffer while it waits, so it waits with 512 bytes
// unless the last read brought more.
const (
	tinyBuffer  = 512
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10
)

var (
	tinyBuffers  = sync.Pool{New: func() any { b := make([]byte, tinyBuffer); return &b }}
	smallBuffers = sync.Pool{New: func() any { b := make([]byte, smallBuffer); return &b }}
	largeBuffers = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}
)

// giveBack returns a lent buffer to its pool.
func giveBack(lent *[]byte) {
	switch len(*lent) {
	case tinyBuffer:
		tinyBuffers.Put(lent)
	case smallBuffer:
		smallBuffers.Put(lent)
	default:
		largeBuffers.Put(lent)
	}
}

// receiver keeps the bytes between the socket and feed. All of it is owned by the reader.
type receiver struct {
	feed    Feed
	limit   int
	generic bool
	bulk    bool // the last time the socket was emptied it held more than a small buffer
	last    int  // bytes of the last read
	err     error

	lent  *[]byte // the pooled buffer under buf, nil when buf is our own or there is none
	buf   []byte
	start int // consumed up to here
	end   int // received up to here
}

// space returns where the next bytes go: never empty.
func (r *receiver) space() []byte {
	switch {
	case r.buf == nil && r.bulk:
		r.borrow(&largeBuffers)
		r.bulk = false
	case r.buf == nil && r.generic && r.last < tinyBuffer:
		r.borrow(&tinyBuffers)
	case r.buf == nil:
		r.borrow(&smallBuffers)
	case r.end == len(r.buf) && len(r.buf) < largeBuffer:
		r.grow() // it was filled: the peer sends in bulk
	case r.end == len(r.buf) && r.start > 0:
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	case r.end == len(r.buf):
		r.grow()
	}
	return r.buf[r.end:]
}

func (r *receiver) borrow(p *sync.Pool) {
	r.lent = p.Get().(*[]byte)
	r.buf, r.start, r.end = *r.lent, 0, 0
}

// grow doubles the buffer: one incomplete element fills it.
func (r *receiver) grow() {
	old := r.buf[r.start:r.end]
	if len(r.buf) < largeBuffer {
		less, more := r.lent, &largeBuffers
		if len(r.buf) == tinyBuffer {
			more = &smallBuffers
		}
		r.borrow(more)
		r.end = copy(r.buf, old)
		giveBack(less)
		return
	}
	next := make([]byte, 2*len(r.buf)) // got bounds what can be left over
	n := copy(next, old)
	r.giveBack()
	r.buf, r.start, r.end = next, 0, n
}

// got hands n more bytes to feed and reports whether to go on.
func (r *receiver) got(n int) bool {
	r.end += n
	r.last = n
	r.bulk = r.bulk || n >= smallBuffer
	used, err := r.feed(r.buf[r.start:r.end])
	r.start += used
	if err != nil {
		r.err = err
		return false
	}
	if r.start == r.end {
		r.start, r.end = 0, 0
		if len(r.buf) == smallBuffer && r.bulk || r.generic {
			r.release() // go on with the other size
		}
	} else if r.end-r.start > r.limit+largeBuffer {
		r.err = ErrBufferFull
		return false
	}
	return true
}

// release returns the buffer when nothing is left in it; called before the reader waits.
func (r *receiver) release() {
	if r.start == r.end {
		r.giveBack()
		r.buf, r.start, r.end = nil, 0, 0
	}
}

func (r *receiver) giveBack() {
	if r.lent != nil {
		giveBack(r.lent)
		r.lent = nil
	}
}
