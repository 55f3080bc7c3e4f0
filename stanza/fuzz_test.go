package stanza

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// pieces cuts the input at random places.
func pieces(in string, seed uint64) []string {
	r := rand.New(rand.NewPCG(seed, 1))
	var out []string
	for len(in) > 0 {
		n := 1 + r.IntN(min(len(in), 1+r.IntN(40)))
		out = append(out, in[:n])
		in = in[n:]
	}
	return out
}

// elementsOf gives the top-level elements that the Scanner finds in the stream, where they stand, and its error.
func elementsOf(stream []byte) (spans []Span, open bool, err error) {
	s, at := NewScanner(Limits{}), 0
	var h Header
	for {
		tok, n, err := s.Next(stream[at:], &h)
		if err != nil || tok == None {
			return spans, open, err
		}
		at += n
		open = true
		if tok == Element {
			spans = append(spans, Span{int32(at - len(h.Raw)), int32(at)})
		}
	}
}

// stdElements does the same with encoding/xml.
func stdElements(stream []byte) (spans []Span, err error) {
	d := xml.NewDecoder(bytes.NewReader(stream))
	depth, lo := 0, int64(0)
	for {
		from := d.InputOffset()
		tok, err := d.Token()
		if err == io.EOF {
			return spans, nil
		}
		if err != nil {
			return spans, err
		}
		switch tok.(type) {
		case xml.StartElement:
			if depth++; depth == 2 {
				lo = from
			}
		case xml.EndElement:
			if depth--; depth == 1 {
				spans = append(spans, Span{int32(lo), int32(d.InputOffset())})
			}
		}
	}
}

// olderNames tells whether encoding/xml refused a name only because it knows the fourth edition of XML.
func olderNames(err error) bool {
	var se *xml.SyntaxError
	return errors.As(err, &se) && strings.HasPrefix(se.Msg, "invalid XML name") && strings.IndexFunc(se.Msg, func(r rune) bool { return r >= 0x80 }) >= 0
}

func incomplete(err error) bool {
	return err == nil || strings.Contains(err.Error(), "unexpected EOF")
}

func FuzzScanner(f *testing.F) {
	for _, e := range goodElements {
		f.Add(true, []byte(e+tail), uint64(1))
	}
	for _, c := range badElements {
		f.Add(true, []byte("<a/>"+c.in), uint64(2))
	}
	for _, c := range headers {
		f.Add(false, []byte(c.in), uint64(3))
	}
	f.Fuzz(func(t *testing.T, headed bool, data []byte, seed uint64) {
		stream := data
		if headed {
			stream = append([]byte(head), data...)
		}
		if len(stream) > DefaultLimits.Stanza {
			t.Skip("longer than a stanza may be")
		}
		whole := play(t, Limits{}, string(stream))
		if cut := play(t, Limits{}, pieces(string(stream), seed)...); cut != whole {
			t.Fatalf("%q\nwhole  %s\npieces %s", stream, whole, cut)
		}
		agree(t, stream)
	})
}

// refusedAt gives how many bytes a Scanner has seen when it refuses the stream, one byte at a time.
func refusedAt(stream []byte) int {
	s, at := NewScanner(Limits{}), 0
	var h Header
	for i := range stream {
		for {
			tok, n, err := s.Next(stream[at:i+1], &h)
			if err != nil {
				return i + 1
			}
			at += n
			if tok == None {
				break
			}
		}
	}
	return len(stream)
}

// agree compares the Scanner with encoding/xml and the second checker, in both directions.
func agree(t *testing.T, stream []byte) {
	spans, open, err := elementsOf(stream)
	if err != nil {
		if seen := stream[:refusedAt(stream)]; !illegal(seen) {
			t.Fatalf("%q\nrefused: %v", seen, err)
		}
	}
	if !open || len(spans) == 0 {
		return
	}
	// what was let through has to stand as a document of its own
	end := spans[len(spans)-1].Hi
	s := NewScanner(Limits{})
	var h Header
	if _, _, err := s.Next(stream, &h); err != nil {
		t.Fatal(err)
	}
	document := append(bytes.Clone(stream[:end]), "</"+string(s.root)+">"...)
	std, stdErr := stdElements(document)
	if stdErr != nil {
		if olderNames(stdErr) {
			return
		}
		t.Fatalf("%q\naccepted, but encoding/xml: %v", document, stdErr)
	}
	if len(std) != len(spans) {
		t.Fatalf("%q\nelements %v, encoding/xml %v", document, spans, std)
	}
	for i := range spans {
		if spans[i] != std[i] {
			t.Fatalf("%q\nelements %v, encoding/xml %v", document, spans, std)
		}
	}
	if fault := restriction(document); fault != "" {
		t.Fatalf("%q\naccepted, but: %s", document, fault)
	}
	sameTree(t, document, spans, s)
}

// sameTree compares what a Walker sees with encoding/xml's view.
func sameTree(t *testing.T, document []byte, spans []Span, s *Scanner) {
	want, err := treeOf(document)
	if err != nil {
		t.Fatalf("%q: %v", document, err)
	}
	for i := range want {
		want[i] = sameSpaces(want[i])
	}
	var got []string
	for _, sp := range spans {
		h := &Header{Raw: document[sp.Lo:sp.Hi]}
		got = append(got, walkTree(h, s.header.Prefixes)...)
	}
	if err := compareTrees(got, want); err != nil {
		t.Fatalf("%q\n%v", document, err)
	}
}
