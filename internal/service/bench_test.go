package service

import (
	"fmt"
	"testing"
)

// BenchmarkAnnounce is what a change of a session costs the link that states it: with nobody watching anybody, with
// as many watches of others as a link may have, and of a user who is watched.
func BenchmarkAnnounce(b *testing.B) {
	for _, c := range []struct {
		name    string
		watches int
		user    string
	}{{"nobody-watches", 0, "u@im"}, {"others-are-watched", maxWatches, "u@im"}, {"watched", maxWatches, "u0@im"}} {
		b.Run(c.name, func(b *testing.B) {
			tb := newTestbed(b)
			for i := range c.watches {
				tb.ask("n2", "watch", fmt.Sprintf("u%d@im", i))
			}
			tb.wires["n2"].stick() // what it hears is of no use here
			var stanzas [2][]byte
			for i := range stanzas {
				stanzas[i] = fmt.Appendf(nil, "<presence from='%s/r' to='im'><priority>%d</priority></presence>", c.user, i)
			}
			b.ResetTimer()
			for i := range b.N {
				if _, err := tb.srcs["n1"].Feed(stanzas[i%2]); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			tb.close()
		})
	}
}
