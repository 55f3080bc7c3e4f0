package conformance

import (
	"strings"
	"testing"
)

// What may come in any order is what leaves the others theirs, whichever line stands first, and no marker of an earlier step.
func TestExpectAll(t *testing.T) {
	const all = "c1 expect header\nc1 expect all\n"
	for _, c := range []struct{ name, says, steps, want string }{
		{"one that could be both, first", "<message id='1'/><message id='2'/>", "  message\n  message id=1", "pass"},
		{"one that could be both, last", "<message id='2'/><message id='1'/>", "  message\n  message id=1", "pass"},
		{"a chain", "<message id='1' type='a'/><message id='2' type='a'/><message id='3'/>", "  message\n  message type=a\n  message id=1", "pass"},
		{"no place for the third", "<message id='1'/><message id='2'/><message id='3'/>", "  message\n  message\n  message id=1 type=b", `fail 11:10 id="3"`},
		{"what is kept is of its own", "<message id='1'/><message id='2'/>", "  message id=$a\n  message id=1\ncheck ${a} = 2", "pass"},
		{"a marker of an earlier step", "<message id='marker-1'/><message id='2'/><presence/>", "  message\n  presence", "pass"},
		{"one is missing", "<presence/>", "  presence\n  message within 20 ms", "fail 10:2 "},
		{"the end", "<presence/>" + shut, "  presence\n  message", "fail 10:2 end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := told((&canned{t: t, says: open + c.says}).play(all + c.steps)); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
