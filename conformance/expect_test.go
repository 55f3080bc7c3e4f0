package conformance

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/conformance/wire"
)

// TestExpectPrefers sees that the first alternative that fits is taken, whenever the thing comes: also while the alternatives are tried.
func TestExpectPrefers(t *testing.T) {
	c, err := parse("c1 connect\nc1 expect message id=m2\n  or message id=m3\n  or message id=m4\n  or message id=m5\n  or message id=m1\n  soft message")
	if err != nil {
		t.Fatal(err)
	}
	came, err := wire.Parse("<message id='m1'/>", nsComponent, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := newPlayer(context.Background(), &runner{usual: time.Minute})
	for range 20_000 {
		in := newInbox()
		var put sync.WaitGroup
		put.Go(func() { in.put(item{ev: wire.Event{Kind: wire.Whole, Element: came}, at: time.Now()}) })
		fault := p.expect(&conn{inbox: in}, &c.steps[1])
		put.Wait()
		if fault != nil || p.soft != "" {
			t.Fatalf("took %q, fault %+v", p.soft, fault)
		}
	}
}
