package stanza

import "testing"

// scanOne gives the Header of one element in a stream with the given header.
func scanOne(t testing.TB, header, in string) *Header {
	t.Helper()
	s, h := NewScanner(Limits{Stanza: 1 << 20}), new(Header)
	for _, part := range []struct {
		in   string
		want Token
	}{{header, Open}, {in, Element}} {
		tok, n, err := s.Next([]byte(part.in), h)
		if tok != part.want || err != nil || n != len(part.in) {
			t.Fatalf("%.200q gives %v, %d of %d bytes, %v", part.in, tok, n, len(part.in), err)
		}
	}
	return h
}
