package component

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	clocks "github.com/patchbay-im/patchbay/internal/fault"
)

// A link is silent for as long as nothing came, whatever somebody does to the clock of the machine.
func TestSilence(t *testing.T) {
	for _, by := range []time.Duration{0, time.Hour, -time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var clock clocks.Clock
				ours, theirs := net.Pipe()
				defer ours.Close()
				defer theirs.Close()
				lc := newClockedConn(ours, 100, clock.Now)
				silent := func(want time.Duration) {
					t.Helper()
					if got := lc.silence(); got != want {
						t.Errorf("silent for %v, want %v", got, want)
					}
				}
				time.Sleep(70 * time.Second)
				clock.Jump(by)
				silent(70 * time.Second)
				go func() { _, _ = theirs.Write([]byte("x")) }()
				if _, err := lc.ReadByte(); err != nil {
					t.Fatal(err)
				}
				silent(0)
				time.Sleep(5 * time.Second)
				clock.Jump(by)
				silent(5 * time.Second)
			})
		})
	}
}
