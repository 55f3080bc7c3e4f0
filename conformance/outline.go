package conformance

import "strings"

// streamEnd ends a stream.
const streamEnd = "</stream:stream>"

// outline follows the tags of what an actor sends, well-formed or not, so far as to see where a stanza may begin. It is a guess where plays
// send what is not XML; the stream does not go on for long then.
type outline struct {
	depth int    // of elements in the stream
	rest  string // a tag whose end is to come
}

// between reports whether a stanza may begin.
func (o *outline) between() bool { return o.depth == 0 && o.rest == "" }

// add takes what is sent next.
func (o *outline) add(text string) {
	text = o.rest + text
	o.rest = ""
	for {
		i := strings.IndexByte(text, '<')
		if i < 0 {
			return
		}
		text = text[i:]
		n := o.span(text)
		if n == 0 {
			o.rest = text
			return
		}
		o.tag(text[:n])
		text = text[n:]
	}
}

// span is how many bytes a tag takes, or what else begins with <; 0 if it has no end yet.
func (o *outline) span(text string) int {
	for begin, end := range map[string]string{"<![CDATA[": "]]>", "<!--": "-->", "<?": "?>"} {
		if strings.HasPrefix(text, begin) {
			return strings.Index(text, end) + 1
		}
	}
	return tagSpan(text)
}

// tag takes one.
func (o *outline) tag(t string) {
	name := strings.TrimLeft(t, "<")
	if end := strings.IndexAny(name, " \t\r\n/>'\""); end > 0 {
		name = name[:end]
	}
	switch {
	case name == "stream" || strings.HasSuffix(name, ":stream"), t == streamEnd: // whatever was open before
		o.depth = 0
	case strings.HasPrefix(t, "</"):
		o.depth = max(0, o.depth-1)
	case t[1] != '?' && t[1] != '!' && !strings.HasSuffix(t, "/>"):
		o.depth++
	}
}
