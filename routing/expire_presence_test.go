package routing

import (
	"testing"
	"time"
)

// Presence that was replaced while it was on disk only takes nothing else with it when the grace ends.
func TestExpiryWithoutPresence(t *testing.T) {
	withDisk(t, func(d *diskbed) {
		d.attach("a")
		d.attach("b")
		d.detach("b")
		d.send("a", "<presence from='a' to='b' id='p1'/>CHAT from='a' to='b' id='m1'/>CHAT from='a' to='b' id='m2'/>")
		time.Sleep(time.Second) // it is on disk
		d.send("a", "<presence from='a' to='b' id='p2'/>")
		time.Sleep(testGrace + time.Second)
		d.expect("a", "m1:remote-server-timeout m2:remote-server-timeout p2:remote-server-timeout")
	})
}
