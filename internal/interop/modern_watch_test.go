package interop

import (
	"context"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/patchbay-im/patchbay/component"
	"github.com/patchbay-im/patchbay/internal/fault"
)

// TestModernWatch resets the connection of a node that watches a user: it is told of what changes afterwards, and of what changed
// meanwhile.
func TestModernWatch(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	bad, err := fault.Listen(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	told := make(chan component.Located, 100)
	attach := func(domain, addr string) *component.Node {
		n, err := component.Dial(t.Context(), component.Config{Addrs: []string{addr}, Domain: domain, Secret: s.secret, Users: []string{"im.example"},
			Backoff: component.Backoff{Min: 300 * time.Millisecond}, OnSession: func(l component.Located) { told <- l }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close(); <-n.Done() })
		return n
	}
	watches, has := attach("watches.im.example", bad.Addr()), attach("has.im.example", s.addr)
	user := jid.MustParse("bob@im.example/web")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	next := func(here bool) {
		for {
			select {
			case l := <-told:
				if l.Ended != here {
					return
				}
			case <-ctx.Done():
				t.Fatalf("nothing tells that the user is here: %v", here)
			}
		}
	}
	must(watches.Watch(ctx, user.Bare()))
	must(has.Announce(ctx, user))
	next(true)
	bad.Reset(fault.Both)
	must(has.Withdraw(ctx, user)) // before it is back
	next(false)
	must(has.Announce(ctx, user))
	next(true)
	if g := watches.Grade(); g != component.GradeAcked {
		t.Errorf("the grade is %q", g)
	}
}
