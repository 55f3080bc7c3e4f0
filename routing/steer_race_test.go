package routing

import (
	"sync"
	"testing"

	"github.com/patchbay-im/patchbay/storage"
)

// A node is drained while its links come and go: the table says what is so, and nobody reads what a link writes.
func TestDrainWhileAttaching(t *testing.T) {
	tb := newTestbed(t, nil)
	tb.r.Returning()
	tb.attach("n1")
	tb.detach("n1")
	n := tb.r.Node("n1")
	for i := range 2000 {
		var other sync.WaitGroup
		other.Go(func() {
			for k := range i % 7 {
				n.SetDraining(tb.r, k%2 == 0)
			}
		})
		tb.attach("n1")
		if i%2 == 0 {
			other.Wait()
			if rec, _ := tb.sessions.Node(n.ID()); rec.State != n.standing() {
				t.Fatalf("the table says %s of a node that is %s", rec.State, n.standing())
			}
		}
		tb.detach("n1")
		other.Wait()
		if rec, _ := tb.sessions.Node(n.ID()); rec.State != storage.Away {
			t.Fatalf("the table says %s of a node that is away", rec.State)
		}
	}
	tb.r.Close()
	if err := tb.sessions.Close(); err != nil {
		t.Fatal(err)
	}
}
