package routing

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// share attaches another link of a domain that several may share; its name in the test has a suffix.
func (d *diskbed) share(domain, suffix string, room int) {
	d.t.Helper()
	sc := stanza.NewScanner(stanza.DefaultLimits)
	if _, _, err := sc.Next([]byte(rootTag), &stanza.Header{}); err != nil {
		d.t.Fatal(err)
	}
	src, err := d.r.Attach(domain, &Grant{Instances: 2}, sc)
	if err != nil {
		d.t.Fatal(err)
	}
	w := newWire(room)
	d.srcs[domain+suffix], d.wires[domain+suffix] = src, w
	if err := src.Start(w, nil); err != nil {
		d.t.Fatal(err)
	}
}

// What waited for links that share a domain is the first one's after a restart. Of what waits for a later one then nothing takes
// its place on disk.
func TestInstancesRestart(t *testing.T) {
	withDisk(t, func(d *diskbed) {
		const n = 60
		want := map[string]int{}
		send := func(round int) {
			for i := range n {
				id := fmt.Sprintf("r%d-%d", round, i)
				d.send("a", fmt.Sprintf("CHAT from='a' to='s/%d' id='%s'><body>%s</body></message>", i, id, strings.Repeat("x", 500)))
				want[id]++
			}
			synctest.Wait()
		}
		d.attach("a")
		d.share("s", "1", 0)
		d.share("s", "2", 0)
		send(0)
		d.restart()
		d.attach("a")
		d.share("s", "1", 0)
		d.share("s", "2", 0)
		send(1)
		time.Sleep(3 * time.Second)
		d.restart()
		d.share("s", "1", 1<<30)
		time.Sleep(time.Second)
		got := map[string]int{}
		for _, id := range strings.Fields(d.got("s1")) {
			got[id]++
		}
		wrong := 0
		for id := range want {
			if got[id] != 1 {
				wrong++
			}
		}
		if wrong > 0 {
			t.Errorf("%d of %d came not at all, or twice: %+v", wrong, len(want), d.r.Ledger())
		}
	})
}
