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
		{[]string{"> c1 <a", "> c1 />", "> c1 </stream:stream>"}, "> c1 <a/> 2, > c1 </stream:stream> 1"},
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

// TestAttached: how actors attach is one line, if the play says so and nothing came in the way.
func TestAttached(t *testing.T) {
	opened := func(actor, answer string) []string {
		return []string{"* " + actor + " connected", "> " + actor + " <?xml version='1.0'?><stream:stream>", "< " + actor + " <stream:stream id='1'>", "> " + actor + " <handshake>00</handshake>", "< " + actor + " " + answer}
	}
	plain := &conformance.Case{Lines: []string{"title: t", "c1 attach", "c2 attach"}}
	for _, c := range []struct {
		in   []string
		of   *conformance.Case
		want string
	}{
		{append(append(opened("c1", "<handshake/>"), opened("c2", "<handshake/>")...), "> c1 <a/>"), plain, "* c1 attached|> c1 <a/>"},
		{opened("c1", "<handshake/>"), &conformance.Case{Lines: []string{"c1 connect", "c1 attach?"}}, "* c1 connected|< c1 <handshake/>"},
		{opened("c1", "<stream:error/>"), plain, "* c1 connected|< c1 <stream:error/>"},
		{opened("c1", "<handshake/><message/>"), plain, "* c1 connected|< c1 <handshake/><message/>"},
		{opened("c1", "<handshake/>")[:4], plain, "* c1 connected|> c1 <handshake>00</handshake>"},
	} {
		var all []string
		for line := range strings.Lines(briefLog(&conformance.Result{Case: c.of, Wire: logOf(c.in...)})) {
			all = append(all, strings.Join(strings.Fields(line), " "))
		}
		if got := all[0] + "|" + all[len(all)-1]; got != c.want || len(all) > 5 {
			t.Errorf("%q is shown as %q, want %s", c.in, all, c.want)
		}
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
