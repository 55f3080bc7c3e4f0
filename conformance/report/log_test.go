package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/conformance"
)

// logOf makes a wire log of "> c1 text" lines.
func logOf(lines ...string) (all []conformance.Record) {
	for _, l := range lines {
		actor, text, _ := strings.Cut(l[2:], " ")
		all = append(all, conformance.Record{Kind: conformance.RecordKind(l[0]), Actor: actor, Bytes: []byte(text)})
	}
	return all
}

// TestEntries: small pieces are brought together, and nothing else.
func TestEntries(t *testing.T) {
	const long = "<message from='c1.example' to='c2.example'/>"
	for _, c := range []struct {
		in   []string
		want string
	}{
		{[]string{"> c1 <a", "> c1 />", "> c1 <b/>"}, "> c1 <a/><b/> 3"},
		{[]string{"> c1 " + long, "> c1 " + long}, "> c1 " + long + " 1, > c1 " + long + " 1"},
		{[]string{"> c1 " + long[:20], "> c1 " + long[20:30], "> c1 " + long[30:]}, "> c1 " + long + " 3"},
		{[]string{"> c1 <a", "< c1 <b/>", "> c1 />"}, "> c1 <a 1, < c1 <b/> 1, > c1 /> 1"},
		{[]string{"> c1 <a", "> c1b <a", "> c1 />"}, "> c1 <a 1, > c1b <a 1, > c1 /> 1"},
		{[]string{"* c1 open", "* c1 end"}, "* c1 open 1, * c1 end 1"},
	} {
		records := logOf(c.in...)
		var got []string
		for _, e := range entries(records) {
			got = append(got, fmt.Sprintf("%c %s %s %d", e.Kind, e.Actor, e.Bytes, e.pieces))
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s become %s", c.in, got)
		}
		for i, r := range records {
			if !strings.HasSuffix(c.in[i], " "+string(r.Bytes)) {
				t.Fatalf("the records that were given were changed: %q", r.Bytes)
			}
		}
	}
}

// TestEntriesCopy: what stands behind a piece in memory stays as it is.
func TestEntriesCopy(t *testing.T) {
	buf := []byte("<aXX")
	got := entries([]conformance.Record{{Actor: "c1", Kind: conformance.Sent, Bytes: buf[:2]}, {Actor: "c1", Kind: conformance.Sent, Bytes: []byte("/>")}})
	if len(got) != 1 || string(got[0].Bytes) != "<a/>" || string(buf) != "<aXX" {
		t.Errorf("%v, and the memory behind it %q", got, buf)
	}
}

// TestParted: how the suite parts is left out; how the peer did is not.
func TestParted(t *testing.T) {
	const end = "</stream:stream>"
	for _, c := range []struct {
		in   []string
		want int
	}{
		{[]string{"> c1 <a/>", "< c1 <b/>", "> c1 " + end, "< c1 " + end, "* c1 ended"}, 2},
		{[]string{"> c1 <a/>", "< c1 " + end, "* c1 ended", "> c2 " + end, "< c2 " + end, "* c2 ended"}, 3},
		{[]string{"> c1 <a/>", "< c1 " + end, "* c1 ended"}, 3},
		{[]string{"> c1 " + end, "< c1 <b/>", "> c2 " + end}, 2},
		{[]string{"> c1 " + end}, 0},
		{nil, 0},
	} {
		var all []entry
		for _, r := range logOf(c.in...) {
			all = append(all, entry{r, 1})
		}
		if got := len(parted(all)); got != c.want {
			t.Errorf("of %s %d are left, want %d", c.in, got, c.want)
		}
	}
}
