package routing

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	bAsksA    = "<iq type='get' from='b' to='a' id='q'><x xmlns='y'/></iq>"
	aAnswersB = "<iq type='result' from='a' to='b' id='q'/>"
)

// goesOnReading has b count all that it got, a quarter of the window at a time, until nothing comes, and gives what came.
func (d *diskbed) goesOnReading(b *Source, out *tape, came0 string) (ids []string) {
	d.t.Helper()
	ids = strings.Fields(came0)
	for counted := 0; counted < len(ids); {
		counted += (len(ids) - counted + 3) / 4
		feed(d.t, b, fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", counted))
		synctest.Wait()
		ids = append(ids, strings.Fields(came(out.since()))...)
	}
	return ids
}

// An answer that is kept back behind another stanza comes as soon as that one is written, although the window is shut again.
func TestAnswerComesBehindWhatKeptIt(t *testing.T) {
	for _, c := range []struct {
		name, before, answer string
		send                 func(d *diskbed, raw string)
	}{
		{"of a node", "CHAT from='a' to='b' id='c'/>", aAnswersB, func(d *diskbed, raw string) { d.send("a", raw) }},
		{"of the server", "<presence id='c' type='unavailable' from='bob@im/x' to='b'/>", "<iq type='result' id='q' from='im' to='b'/>",
			func(d *diskbed, raw string) { d.r.Send(d.r.Node("b"), []byte(raw)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			withProof(t, func(d *diskbed) {
				d.attach("a")
				b, out := d.counting("b", "id1")
				d.login("b", "bob@im/x")
				out.since()
				d.r.Node("b").queue.setLimit(8 << 20)
				feed(t, b, bAsksA)
				got := d.shut(out)
				c.send(d, c.before)
				for i := range 12 {
					d.send("a", fmt.Sprintf("CHAT from='a' to='bob@im/x' id='n%d'><body>%s</body></message>", i+1, strings.Repeat("x", 60_000)))
				}
				c.send(d, c.answer)
				time.Sleep(2 * time.Second)
				same(t, "past the window", came(out.since()), "")
				ids := d.goesOnReading(b, out, got)
				kept, at := slices.Index(ids, "c"), slices.Index(ids, "q")
				if len(ids) != 26 || kept < 0 || at < kept || at > kept+6 {
					t.Errorf("came %v", ids)
				}
				d.unplug("b")
			})
		})
	}
}

// An answer of a node behind very many of its stanzas waits until fewer lie before it, and keeps back none of the server.
func TestAnswerBehindVeryMany(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		b, out := d.counting("b", "id1")
		d.login("b", "bob@im/x")
		out.since()
		d.r.Node("b").queue.setLimit(8 << 20)
		feed(t, b, bAsksA)
		const all = 12_000
		for i := range all {
			d.send("a", fmt.Sprintf("CHAT from='a' to='bob@im/x' id='m%d'><body>%s</body></message>", i+1, strings.Repeat("x", 100)))
		}
		time.Sleep(2 * time.Second)
		got := came(out.since())
		if n := len(strings.Fields(got)); all-n <= aheadCompared {
			t.Fatalf("%d are written", n)
		}
		d.send("a", aAnswersB)
		time.Sleep(2 * time.Second)
		same(t, "past the window", came(out.since()), "")
		d.r.Send(d.r.Node("b"), []byte("<iq type='result' id='r' from='im' to='b'/>"))
		time.Sleep(2 * time.Second)
		same(t, "past the window", came(out.since()), "r")
		ids := d.goesOnReading(b, out, got+" r")
		if at := slices.Index(ids, "q"); len(ids) != all+2 || at < all-aheadCompared || at > all-aheadCompared/2 {
			t.Errorf("%d came, the answer as number %d", len(ids), at)
		}
		d.unplug("b")
	})
}
