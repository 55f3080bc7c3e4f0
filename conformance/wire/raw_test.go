package wire

import (
	"errors"
	"strings"
	"testing"
)

// next is the next event, which is to be of a kind.
func next(t *testing.T, r *Reader, kind Kind) Event {
	t.Helper()
	ev, err := r.Next()
	if err != nil || ev.Kind != kind {
		t.Fatalf("%+v, %v; want one of kind %d", ev, err, kind)
	}
	return ev
}

// TestRaw sees that each element has its bytes, which no later byte and no hand of the caller changes.
func TestRaw(t *testing.T) {
	const decl, body = "<?xml version='1.0'?>\n", "<a>1<b c='&#65;'/>2<d><e/></d >\r\n</a>"
	r := NewReader(1000)
	given := []byte(decl + head + " " + body + "x" + tail)
	r.Feed(given)
	clear(given)
	ev := next(t, r, Header)
	header := ev.Element
	if string(ev.Raw) != decl+head || string(header.Raw) != head || header.Prefix != "stream" {
		t.Errorf("the header is %q, its tag %q", ev.Raw, header.Raw)
	}
	if ev := next(t, r, Text); string(ev.Raw) != " " || ev.Text != " " {
		t.Errorf("white space is %q", ev.Raw)
	}
	e := next(t, r, Whole).Element
	if text := next(t, r, Text); text.Text != "x" {
		t.Errorf("text is %q", text.Text)
	}
	if ev := next(t, r, End); string(ev.Raw) != tail {
		t.Errorf("the end is %q", ev.Raw)
	}
	_ = append(e.Child("", "b").Raw, "spoiled"...)
	for range 1000 {
		r.Feed([]byte(" "))
	}
	for _, c := range []struct{ got, want string }{
		{string(e.Raw), body},
		{string(e.Child("", "b").Raw), "<b c='&#65;'/>"},
		{string(e.Child("", "d").Raw), "<d><e/></d >"},
		{string(e.Find("", "e").Raw), "<e/>"},
	} {
		if c.got != c.want {
			t.Errorf("raw is %q, want %q", c.got, c.want)
		}
	}
	if len(header.Children) > 0 {
		t.Error("the header keeps all that comes in the stream")
	}
}

// TestBuffered is about what a reader has and has not given out: it belongs to what follows the stream (RFC 6120 5.3.3).
func TestBuffered(t *testing.T) {
	r := NewReader(1000)
	r.Feed([]byte(head + "<proceed/><a>x"))
	next(t, r, Header)
	next(t, r, Whole)
	if got := string(r.Buffered()); got != "<a>x" {
		t.Errorf("%q is there", got)
	}
	if _, err := r.Next(); !errors.Is(err, ErrMore) || string(r.Buffered()) != "<a>x" {
		t.Errorf("%v, then %q is there", err, r.Buffered())
	}
	r.Feed([]byte("</a>"))
	next(t, r, Whole)
	if got := string(r.Buffered()); got != "" {
		t.Errorf("%q is there", got)
	}
}

// TestTextAtOnce: who waits for silence hears text before the element behind it comes.
func TestTextAtOnce(t *testing.T) {
	r := NewReader(1000)
	r.Feed([]byte(head + "ab&am"))
	next(t, r, Header)
	if ev := next(t, r, Text); ev.Text != "ab" {
		t.Errorf("%q", ev.Text)
	}
	if _, err := r.Next(); !errors.Is(err, ErrMore) {
		t.Errorf("half a reference: %v", err)
	}
	r.Feed([]byte("p;]\xc3"))
	if ev := next(t, r, Text); ev.Text != "&]" {
		t.Errorf("%q", ev.Text)
	}
}

func TestTooLong(t *testing.T) {
	for _, c := range []struct {
		limit  int
		stream string
		want   string // of the last line
	}{
		{len(head) - 1, head, "read byte 94: too long: more than 94 bytes"},
		{len(head), head, "header <stream xmlns='http://etherx.jabber.org/streams'/>"},
		{len(head), " " + head, "read byte 95: too long: more than 95 bytes"},
		{100, head + "<a>" + strings.Repeat("x", 93) + "</a>", "<a xmlns='jabber:component:accept'>" + strings.Repeat("x", 93) + "</a>"},
		{100, head + "<a>" + strings.Repeat("x", 94) + "</a>", "read byte 195: too long: more than 100 bytes"},
		{100, head + "<a>" + strings.Repeat("x", 94), "header <stream xmlns='http://etherx.jabber.org/streams'/>"},
		{100, head + " <a>" + strings.Repeat("é", 50), "read byte 195: too long: more than 100 bytes"},
		{100, head + "<![CDATA[" + strings.Repeat(" ", 100), "read byte 195: too long: more than 100 bytes"},
		{100, head + strings.Repeat(" ", 300) + "</stream:stream>" + strings.Repeat(" ", 300), `text "` + strings.Repeat(" ", 300) + `"`},
	} {
		for _, piece := range []int{1, 7, 1000} {
			lines := strings.Split(told(c.limit, piece, c.stream), "\n")
			if got := lines[len(lines)-1]; got != c.want {
				t.Errorf("at most %d of %q in pieces of %d:\n%s\nwant\n%s", c.limit, c.stream, piece, got, c.want)
			}
		}
	}
}

// TestDeep reads, compares, searches and prints elements as deep as they are long, with prefixes bound at each level.
func TestDeep(t *testing.T) {
	const levels = 100_000
	text := "<a>" + strings.Repeat("<p:a xmlns:p='u'>", levels) + strings.Repeat("</p:a>", levels) + "<b/></a>"
	e, err := Parse(text, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(e.String(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !Equal(e, again) || e.Find("", "b") == nil || e.Find("u", "c") != nil {
		t.Error("what was read is not what was written")
	}
	if _, err := Parse(strings.Repeat("<a>", levels), "", nil); err == nil {
		t.Error("elements without an end are one")
	}
}

// TestByteByByte would not end if a byte that comes led back to those before it.
func TestByteByByte(t *testing.T) {
	const size = 1 << 18
	for _, body := range []string{
		"<a>" + strings.Repeat("x", size) + "</a>", "<a b='" + strings.Repeat("x", size) + "'/>",
		"<" + strings.Repeat("x", size) + "/>", "<a><![CDATA[" + strings.Repeat("]", size) + "]]></a>",
		"<a " + strings.Repeat(" ", size) + "/>", "<a>&#" + strings.Repeat("0", size) + "65;</a>",
	} {
		r := NewReader(2 * size)
		r.Feed([]byte(head))
		next(t, r, Header)
		for i := range len(body) - 1 {
			r.Feed([]byte{body[i]})
			if _, err := r.Next(); !errors.Is(err, ErrMore) {
				t.Fatalf("%.20q: %v after %d bytes", body, err, i+1)
			}
		}
		r.Feed([]byte(">"))
		if ev := next(t, r, Whole); string(ev.Raw) != body {
			t.Errorf("%.20q: other bytes came", body)
		}
	}
}
