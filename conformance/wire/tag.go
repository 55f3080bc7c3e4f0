package wire

import "unicode/utf8"

// attribute is one of the tag that is read.
type attribute struct {
	tag   string // its name as it was written
	value string
	at    int // the offset of its name
}

// name reads the name of an opening tag.
func (r *Reader) name(c rune) *SyntaxError {
	if isName(c) {
		r.word = utf8.AppendRune(r.word, c)
		return nil
	}
	r.tag = string(r.word)
	return r.gap(c)
}

// gap reads what follows a name or a value in an opening tag.
func (r *Reader) gap(c rune) *SyntaxError {
	switch {
	case isSpace(c):
		r.in = atSpace
	case c == '/':
		r.in = atSlash
	case c == '>':
		return r.opened(false)
	default:
		return r.wrong(NotWellFormed, "%q in a tag, where white space, / or > may stand", c)
	}
	return nil
}

// space reads what follows white space in an opening tag.
func (r *Reader) space(c rune) *SyntaxError {
	if !isNameStart(c) {
		return r.gap(c)
	}
	r.in, r.word = atAttr, utf8.AppendRune(r.word[:0], c)
	r.attrs = append(r.attrs, attribute{at: r.at})
	return nil
}

// attr reads the name of an attribute.
func (r *Reader) attr(c rune) *SyntaxError {
	if isName(c) {
		r.word = utf8.AppendRune(r.word, c)
		return nil
	}
	r.attrs[len(r.attrs)-1].tag = string(r.word)
	r.in = atEqual
	return r.equal(c)
}

// equal reads what stands between the name and the value of an attribute.
func (r *Reader) equal(c rune) *SyntaxError {
	switch {
	case c == '=':
		r.in = atQuote
	case !isSpace(c):
		return r.wrong(NotWellFormed, "%q behind the name of an attribute, where = is due", c)
	}
	return nil
}

// quoted reads the opening quote of a value.
func (r *Reader) quoted(c rune) *SyntaxError {
	switch {
	case c == '"' || c == '\'':
		r.in, r.quote, r.val = atValue, c, r.val[:0]
	case !isSpace(c):
		return r.wrong(NotWellFormed, "%q where the quote of a value is due", c)
	}
	return nil
}

// value reads the value of an attribute, and normalises it (XML 1.0 3.3.3).
func (r *Reader) value(c rune) *SyntaxError {
	switch {
	case c == r.quote:
		r.attrs[len(r.attrs)-1].value = string(r.val)
		r.in = atGap
	case c == '<':
		return r.wrong(NotWellFormed, "< in the value of an attribute")
	case c == '&':
		r.amp, r.back, r.in, r.word = r.at, atValue, atReference, r.word[:0]
	case isSpace(c):
		r.val = append(r.val, ' ')
	default:
		r.val = utf8.AppendRune(r.val, c)
	}
	return nil
}

// slash reads the end of an empty-element tag.
func (r *Reader) slash(c rune) *SyntaxError {
	if c != '>' {
		return r.wrong(NotWellFormed, "%q behind / in a tag", c)
	}
	return r.opened(true)
}

// endName reads the name of a closing tag.
func (r *Reader) endName(c rune) *SyntaxError {
	switch {
	case len(r.word) == 0 && isNameStart(c), len(r.word) > 0 && isName(c):
		r.word = utf8.AppendRune(r.word, c)
		return nil
	case len(r.word) == 0:
		return r.wrong(NotWellFormed, "%q behind </", c)
	}
	return r.endSpace(c)
}

// endSpace reads what follows the name of a closing tag.
func (r *Reader) endSpace(c rune) *SyntaxError {
	switch {
	case isSpace(c):
		r.in = atEndSpace
		return nil
	case c != '>':
		return r.wrong(NotWellFormed, "%q in a closing tag, where > is due", c)
	}
	if tag := r.open[len(r.open)-1].tag; tag != string(r.word) {
		return r.wrongAt(r.less, NotWellFormed, "</%s> where </%s> is due", r.word, tag)
	}
	r.closed()
	return nil
}

// opened takes an opening tag that has been read.
func (r *Reader) opened(empty bool) *SyntaxError {
	r.flush()
	r.in = atContent
	o := open{tag: r.tag, bound: len(r.bound), span: len(r.spans)}
	e, err := r.resolve()
	if err != nil {
		return err
	}
	o.element = e
	if n := len(r.open); n > 1 {
		parent := r.open[n-1].element
		parent.Children = append(parent.Children, Node{Element: e})
	}
	r.open = append(r.open, o)
	r.spans = append(r.spans, span{e, r.less, r.base + r.pos})
	switch {
	case r.header != nil && empty:
		r.closed()
	case r.header == nil:
		r.header = e
		r.say(Header, e)
		if empty {
			r.endsHere, r.open, r.in = true, r.open[:0], atEpilog
		}
	}
	return nil
}

// closed takes the end of the element that is open.
func (r *Reader) closed() {
	r.flush()
	r.in = atContent
	o := r.open[len(r.open)-1]
	r.open = r.open[:len(r.open)-1]
	r.unbind(o.bound)
	switch len(r.open) {
	case 0:
		r.in = atEpilog
		r.say(End, nil)
	case 1:
		r.spans[o.span].hi = r.base + r.pos
		r.say(Whole, o.element)
	default:
		r.spans[o.span].hi = r.base + r.pos
	}
}

// flush makes a node of the text that was read.
func (r *Reader) flush() {
	if len(r.text) == 0 {
		return
	}
	e := r.open[len(r.open)-1].element
	e.Children = append(e.Children, Node{Text: string(r.text)})
	r.text = r.text[:0]
}
