package fault

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// Clock is a clock that can be set, as the clock of a machine can: the wall time jumps, the monotonic time that goes with it
// does not. What Go computes with the times that it gives is what it would compute on such a machine, in a bubble of
// testing/synctest too. The zero Clock is set right; any goroutine may use it.
type Clock struct{ ahead atomic.Int64 } // seconds

// Jump sets the clock forward, or back. Parts of a second are not moved.
func (c *Clock) Jump(by time.Duration) { c.ahead.Add(int64(by / time.Second)) }

// Now is the time by this clock.
func (c *Clock) Now() time.Time {
	t := time.Now()
	// No function of package time moves one part without the other, so this is done to the first words of a Time:
	// one bit for "has a monotonic part", 33 bits of seconds since 1885, 30 bits of nanoseconds; and the monotonic part.
	// TestClock sees whether it still is so.
	const (
		both      = 1 << 63
		since1885 = 2_682_288_000 // seconds to 1970
	)
	words := (*struct {
		wall uint64
		mono int64
	})(unsafe.Pointer(&t))
	if words.wall&both == 0 { // in a bubble, whose time never jumps: it will do for both
		words.wall, words.mono = both|uint64(t.Unix()+since1885)<<30|uint64(t.Nanosecond()), t.UnixNano()
	}
	words.wall += uint64(c.ahead.Load() << 30)
	return t
}
