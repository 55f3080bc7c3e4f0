package stanza

import "testing"

// TestModernHeader: version='1.0' and pb:modern='1' together ask for a modern stream, whatever the prefix, and neither alone.
func TestModernHeader(t *testing.T) {
	const open = "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='node1.im.example'"
	for _, c := range []struct {
		attrs string
		want  bool
	}{
		{" xmlns:pb='urn:patchbay:component:1' pb:modern='1' version='1.0'", true},
		{" xmlns:pb='urn:patchbay:component:1' pb:modern='1' version='1.7'", true},
		{" xmlns:pb='urn:patchbay:component:1' pb:modern='1' version='011.0'", true},
		{" xmlns:pb='urn:patchbay:component:1' pb:modern='1' version='0.9'", false},
		{" xmlns:pb='urn:patchbay:component:1' pb:modern='1' version='1'", false},
		{" xmlns:pb='urn:patchbay:component:1' pb:modern='1' version='one.0'", false},
		{` version="1.0" x:modern="&#49;" xmlns:x="urn:patchbay:component:1"`, true},
		{" xmlns:pb='urn:patchbay:component:1' pb:modern='1'", false},
		{" xmlns:pb='urn:patchbay:component:1' version='1.0'", false},
		{" xmlns:pb='urn:patchbay:component:1' pb:modern='true' version='1.0'", false},
		{" xmlns:pb='urn:patchbay:component:1' pb:modern='1' version='0.9'", false},
		{" xmlns:pb='urn:patchbay:component:2' pb:modern='1' version='1.0'", false},
		{" modern='1' version='1.0'", false},
		{" version='1.0'", false},
		{"", false},
	} {
		s, h := NewScanner(Limits{}), Header{}
		if tok, _, err := s.Next([]byte(open+c.attrs+">"), &h); tok != Open || err != nil {
			t.Fatalf("%s: %v %v", c.attrs, tok, err)
		}
		if got := s.StreamHeader().Modern; got != c.want {
			t.Errorf("%s: modern is %v", c.attrs, got)
		}
		s.Reset()
		if s.StreamHeader().Modern {
			t.Errorf("%s: it outlives a restart of the stream", c.attrs)
		}
	}
}
