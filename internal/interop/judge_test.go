package interop

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// judge follows each message of an exchange from its script to the report of the library that it came to. What differs
// must be a known fault of a library; it gives how many messages each has altered.
//
//	script ─ library writes ─► up ═ router: same bytes, once, in order ═► down ─ library reads ─► report
func judge(t *testing.T, sides []*side) map[string]int {
	t.Helper()
	found := map[string]int{}
	entered, left := make([][]seen, len(sides)), make([][]seen, len(sides))
	for i, x := range sides {
		entered[i], left[i] = x.up.messages(t), x.down.messages(t)
		x.wrote(t, entered[i], found)
		for k, n := range x.read(t, left[i]) {
			found[k] += n
		}
	}
	for i, from := range sides {
		for k, to := range sides {
			between(t, from.mark+" to "+to.mark, pick(entered[i], from.mark, to.mark), pick(left[k], from.mark, to.mark))
		}
	}
	return found
}

// wrote holds what a library wrote against its script.
func (x *side) wrote(t *testing.T, entered []seen, found map[string]int) {
	t.Helper()
	if len(entered) != len(x.script) {
		t.Errorf("%s wrote %d messages, not %d", x.name, len(entered), len(x.script))
		return
	}
	for n, l := range x.script {
		m := entered[n]
		if m.id != l.id || m.from != l.from || m.to != l.to || (l.raw != "" && m.body != l.raw) {
			t.Errorf("%s wrote %v, not %q", x.name, m, l)
			return
		}
		switch text := meaning(t, m.body); {
		case text == l.text:
		case x.rawCR && l.raw == "" && text == feeds(l.text):
			found[x.name+" writes a carriage return as it is"]++
		default:
			t.Errorf("%s wrote %q, which reads %q, not %q", x.name, m.body, text, l.text)
			return
		}
	}
	if x.writes {
		for _, b := range bodies { // or the comparison of copies would show nothing
			if !bytes.Contains(x.up, []byte(" "+b.Raw+"</body>")) {
				t.Errorf("%s has not sent %q", x.name, b.Raw)
			}
		}
	}
}

// feeds gives a text in which carriage returns have become line feeds (XML 1.0, 2.11).
func feeds(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
}

// between holds what one side got from another against what that had sent: the same messages, to the byte, in order.
func between(t *testing.T, pair string, in, out []seen) {
	t.Helper()
	if len(in) == 0 {
		t.Errorf("%s: nothing was sent", pair)
	}
	for n := range max(len(in), len(out)) {
		var a, b seen
		if n < len(in) {
			a = in[n].unplaced()
		}
		if n < len(out) {
			b = out[n].unplaced()
		}
		if a != b {
			t.Errorf("%s: message %d of %d entered as %v\nbut of %d left %v", pair, n, len(in), a, len(out), b)
			return
		}
	}
}

// pick gives the messages from users of one side to those of another.
func pick(all []seen, from, to string) (some []seen) {
	for _, m := range all {
		if strings.HasPrefix(m.from, from) && strings.HasPrefix(m.to, to) {
			some = append(some, m)
		}
	}
	return some
}

// read holds what a library reports against what was on the wire to it.
func (x *side) read(t *testing.T, left []seen) map[string]int {
	t.Helper()
	found := map[string]int{}
	if len(x.rows) != len(left) || len(left) != x.due {
		t.Errorf("%s reports %d messages; %d came, %d were due", x.name, len(x.rows), len(left), x.due)
		return nil
	}
	for n, m := range left {
		r := x.rows[n]
		if r.from != m.from || r.id != m.id || r.to != m.to {
			t.Errorf("%s reports %q when %v came", x.name, r, m)
			return found
		}
		if r.body == meaning(t, m.body) {
			continue
		}
		text, faults := x.damage(t, m)
		for _, fault := range faults {
			found[x.name+" "+fault]++
		}
		if r.body != text {
			t.Errorf("%s reports %q of %q, which reads %q", x.name, r.body, m.body, text)
			return found
		}
	}
	return found
}

// damage gives a body as the library must read it by its known faults, and which of them alter it.
func (x *side) damage(t *testing.T, m seen) (text string, faults []string) {
	t.Helper()
	raw := m.body
	if x.library.chunks {
		if raw = x.cut(m); raw != m.body {
			faults = append(faults, "cuts a character between two reads")
		}
	}
	if before, after, ok := strings.Cut(raw, "]]>"); ok && x.cdata && after != "" {
		raw = before + "]]>"
		faults = append(faults, "loses the text behind a CDATA section")
	}
	if !x.keepCR || !strings.Contains(raw, "\r") {
		return meaning(t, raw), faults
	}
	const other = "\uE000" // stands in no body
	text = strings.ReplaceAll(meaning(t, strings.ReplaceAll(raw, "\r", other)), other, "\r")
	return text, append(faults, "reads a carriage return as it came")
}

// cut gives a body as a library sees it that decodes each read from the socket by itself: U+FFFD for what is left of
// a character at the end of one, and for each byte of it at the beginning of the next.
func (x *side) cut(m seen) string {
	var b strings.Builder
	from := 0
	first, _ := slices.BinarySearch(x.report.chunks, m.at+1)
	for _, end := range x.report.chunks[first:] {
		if end-m.at >= len(m.body) {
			break
		}
		b.WriteString(decode(m.body[from : end-m.at]))
		from = end - m.at
	}
	b.WriteString(decode(m.body[from:]))
	return b.String()
}

func decode(piece string) string {
	var b strings.Builder
	for len(piece) > 0 {
		r, n := utf8.DecodeRuneInString(piece)
		if !utf8.FullRuneInString(piece) {
			n = len(piece)
		}
		b.WriteRune(r)
		piece = piece[n:]
	}
	return b.String()
}

// TestDecode looks at the parts of characters.
func TestDecode(t *testing.T) {
	for in, want := range map[string]string{
		"a😀b": "a😀b", "a\xf0\x9f\x98": "a\uFFFD", "\xf0": "\uFFFD", "\x80b": "\uFFFDb", "\x9f\x98\x80b": "\uFFFD\uFFFD\uFFFDb",
	} {
		if got := decode(in); got != want {
			t.Errorf("%q reads %q, not %q", in, got, want)
		}
	}
}
