package routing

import (
	"regexp"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/stanza"
)

// opening is a link that has something done while the end of its handshake is written.
type opening struct {
	tape
	meanwhile func()
}

func (p *opening) Write(b []byte) (int, error) {
	if f := p.meanwhile; f != nil {
		p.meanwhile = nil
		f()
	}
	return p.tape.Write(b)
}

// The last link of a domain goes that was not the first one's, and the next may only be that: what comes while it opens is not
// written before what waits for the one that went.
func TestGatherKeepsOrder(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("a")
		first, _ := tb.plugged("push", &Grant{Instances: 2})
		second, _ := tb.plugged("push", &Grant{Instances: 2})
		first.Detach()
		second.Detach()
		message := func(id string) { tb.send("a", "<message from='a' to='x@push' id='"+id+"'/>") }
		message("m1")
		sc := stanza.NewScanner(stanza.DefaultLimits)
		_, _, _ = sc.Next([]byte(rootTag), &stanza.Header{})
		src, err := tb.r.Attach("push", &Grant{Instances: 1}, sc)
		if err != nil {
			t.Fatal(err)
		}
		if src.Place() != 0 || second.Place() != 1 {
			t.Fatalf("the link has place %d, the last one had %d", src.Place(), second.Place())
		}
		p := &opening{meanwhile: func() { message("m2") }}
		if err := src.Start(p, []byte("<handshake/>")); err != nil {
			t.Fatal(err)
		}
		message("m3")
		if got := strings.Join(regexp.MustCompile(`m\d`).FindAllString(p.since(), -1), " "); got != "m1 m2 m3" {
			t.Errorf("push got %q, want m1 m2 m3", got)
		}
		src.Detach()
	})
}
