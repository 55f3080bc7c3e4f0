package fault

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestClock sets a clock: who measures with it notices nothing, who looks at the date does.
func TestClock(t *testing.T) {
	t.Run("world", setClock)
	t.Run("bubble", func(t *testing.T) { synctest.Test(t, setClock) })
}

func setClock(t *testing.T) {
	for _, by := range []time.Duration{0, time.Hour, -time.Hour, -1000 * time.Hour} {
		var c Clock
		before, begun := c.Now(), time.Now()
		if d := begun.Round(0).Sub(before.Round(0)); d < 0 || d > patience {
			t.Errorf("a clock that is set right is behind by %v", d)
		}
		c.Jump(by)
		time.Sleep(time.Millisecond)
		after, took := c.Now(), time.Since(begun)
		if d := after.Sub(before); d < time.Millisecond || d > took+time.Second {
			t.Errorf("%v, with a jump by %v, are measured as %v", took, by, d)
		}
		if d := after.Round(0).Sub(before.Round(0)); d < by || d > by+took+time.Second {
			t.Errorf("a jump by %v moves the date by %v", by, d)
		}
		if d := after.Add(time.Minute).Sub(before.Add(time.Minute)); d < time.Millisecond || d > took+time.Second {
			t.Errorf("a deadline moves by %v", d)
		}
	}
}
