package conformance

import "testing"

// What is answered without a word stands between stanzas, however a play cuts what it sends.
func TestOutline(t *testing.T) {
	for _, c := range []struct {
		sent    []string
		between bool
	}{
		{nil, true},
		{[]string{"<?xml version='1.0'?><stream:stream to='a'>"}, true},
		{[]string{"<s:stream to='a'>", "<s:a/>"}, true},
		{[]string{"<message/>", "<iq>a</iq> \n"}, true},
		{[]string{"<message>"}, false},
		{[]string{"<message>", "</message>"}, true},
		{[]string{"<message><body>it's</body>"}, false},
		{[]string{"<message a='", ">", "'/>"}, true},
		{[]string{"<message a='>'"}, false},
		{[]string{"<mess"}, false},
		{[]string{"<m><![CDATA[ it's <a> ]]></m>"}, true},
		{[]string{"<m><![CDATA[ it's ", "</m>"}, false},
		{[]string{"<!-- don't -->"}, true},
		{[]string{"<a><b>", "</stream:stream>"}, true},
		{[]string{"<a><b>", "<stream:stream>"}, true},
		{[]string{"</a>", "</a>", "<b>"}, false},
		{[]string{"<>", "</>", "< a>"}, false},
	} {
		var o outline
		for _, text := range c.sent {
			o.add(text)
		}
		if o.between() != c.between {
			t.Errorf("%q: between stanzas %t", c.sent, o.between())
		}
	}
}
