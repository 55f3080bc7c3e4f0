package routing

import (
	"testing"

	"github.com/patchbay-im/patchbay/storage"
)

// Whoever hears that a node is away finds that its stream has ended: nobody tells him once more.
func TestStreamEndsBeforeNews(t *testing.T) {
	bubble(t, func(*testbed) {
		heard := 0
		var tb *testbed
		sessions, err := storage.OpenSessions(storage.Options{Dir: ":memory:", Server: "hub", Log: quiet(), NodeChanged: func(storage.NodeID) {
			if n := tb.r.Node("n1"); n.State() == Away {
				heard++
				if n.Stream() != nil {
					t.Error("the node is told to be away, and has its stream still")
				}
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		tb = newTestbed(t, sessions)
		defer tb.close()
		tb.attach("n1")
		tb.detach("n1")
		if heard == 0 {
			t.Error("nobody was told that the node is away")
		}
	})
}
