package wire

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// start reads the first character of all. A byte order mark is none (RFC 6120 11.6): it is a character of text, and text may
// not stand here.
func (r *Reader) start(c rune) *SyntaxError {
	if c == '\uFEFF' {
		return r.wrong(NotWellFormed, "a byte order mark")
	}
	r.in = atProlog
	return r.prolog(c)
}

// prolog reads white space before the root.
func (r *Reader) prolog(c rune) *SyntaxError {
	switch {
	case c == '<':
		r.less, r.in = r.at, atLess
	case !isSpace(c):
		return r.wrong(NotWellFormed, "%q before the stream header", c)
	}
	return nil
}

// epilog reads white space behind the end of the stream.
func (r *Reader) epilog(c rune) *SyntaxError {
	switch {
	case c == '<':
		r.less, r.in = r.at, atLess
	case isSpace(c):
		r.text = append(r.text, byte(c))
	default:
		return r.wrong(NotWellFormed, "%q behind the end of the stream", c)
	}
	return nil
}

// content reads text (XML 1.0 2.4).
func (r *Reader) content(c rune) *SyntaxError {
	brackets := r.brack
	r.brack = 0
	switch {
	case c == '<':
		r.less, r.in = r.at, atLess
		return nil
	case c == '&':
		r.amp, r.back, r.in, r.word = r.at, atContent, atReference, r.word[:0]
		return nil
	case c == ']':
		r.brack = min(brackets+1, 2)
	case c == '>' && brackets == 2:
		return r.wrongAt(r.at-2, NotWellFormed, "]]> in text")
	}
	r.text = utf8.AppendRune(r.text, c)
	return nil
}

// afterLess reads what follows <.
func (r *Reader) afterLess(c rune) *SyntaxError {
	r.word = r.word[:0]
	switch {
	case c == '!':
		r.in = atBang
	case c == '?':
		r.in = atTarget
	case r.header != nil && len(r.open) == 0:
		return r.wrongAt(r.less, NotWellFormed, "a tag behind the end of the stream")
	case c == '/' && r.header == nil:
		return r.wrongAt(r.less, NotWellFormed, "a closing tag before the stream header")
	case c == '/':
		r.in = atEndName
	case isNameStart(c):
		r.in, r.attrs = atName, r.attrs[:0]
		r.word = utf8.AppendRune(r.word, c)
	default:
		return r.wrong(NotWellFormed, "%q behind <", c)
	}
	return nil
}

// bang reads what follows <! as far as it takes to know what it is.
func (r *Reader) bang(c rune) *SyntaxError {
	r.word = utf8.AppendRune(r.word, c)
	switch word := string(r.word); {
	case word == "--":
		return r.wrongAt(r.less, Restricted, "a comment")
	case word == "DOCTYPE":
		return r.wrongAt(r.less, Restricted, "a document type declaration")
	case word == "[CDATA[" && len(r.open) > 0:
		r.in, r.word = atCDATA, r.word[:0]
	case word == "[CDATA[":
		return r.wrongAt(r.less, NotWellFormed, "a CDATA section outside of the stream")
	case strings.HasPrefix("--", word), strings.HasPrefix("DOCTYPE", word), strings.HasPrefix("[CDATA[", word):
	default:
		return r.wrong(NotWellFormed, "%q in a tag that begins with <!", c)
	}
	return nil
}

// cdata reads a CDATA section (XML 1.0 2.7).
func (r *Reader) cdata(c rune) *SyntaxError {
	switch {
	case c == ']' && r.brack < 2:
		r.brack++
	case c == ']':
		r.text = append(r.text, ']')
	case c == '>' && r.brack == 2:
		r.in, r.brack = atContent, 0
	default:
		r.text = append(r.text, "]]"[:r.brack]...)
		r.text = utf8.AppendRune(r.text, c)
		r.brack = 0
	}
	return nil
}

// target reads the target of an instruction, which is restricted, or the beginning of the XML declaration (XML 1.0 2.6, 2.8).
func (r *Reader) target(c rune) *SyntaxError {
	switch {
	case len(r.word) == 0 && isNameStart(c), len(r.word) > 0 && isName(c):
		r.word = utf8.AppendRune(r.word, c)
		return nil
	case len(r.word) == 0:
		return r.wrong(NotWellFormed, "%q behind <?", c)
	case string(r.word) == "xml" && r.less == 0 && isSpace(c):
		r.in, r.word = atDeclaration, append(r.word[:0], ' ')
		return nil
	case string(r.word) == "xml" && r.less != 0:
		return r.wrongAt(r.less, NotWellFormed, "an XML declaration that is not at the beginning")
	case strings.EqualFold(string(r.word), "xml"):
		return r.wrongAt(r.less, NotWellFormed, "an instruction with a reserved name")
	case isSpace(c) || c == '?':
		return r.wrongAt(r.less, Restricted, "a processing instruction")
	}
	return r.wrong(NotWellFormed, "%q in the name of a processing instruction", c)
}

// declaration reads the XML declaration up to its end, and checks it then.
func (r *Reader) declaration(c rune) *SyntaxError {
	r.word = utf8.AppendRune(r.word, c)
	switch {
	case c == '<':
		return r.wrong(NotWellFormed, "< in the XML declaration")
	case !bytes.HasSuffix(r.word, []byte("?>")):
		return nil
	}
	parts := declarationForm.FindSubmatch(r.word)
	switch {
	case parts == nil:
		return r.wrongAt(0, NotWellFormed, "an XML declaration that does not read version='1.0' encoding='UTF-8'")
	case len(parts[1]) > 0 && !bytes.EqualFold(parts[1][1:len(parts[1])-1], []byte("UTF-8")):
		return r.wrongAt(0, NotUTF8, "the encoding %s", parts[1])
	}
	r.in = atProlog
	return nil
}

// reference reads a reference up to its end (XML 1.0 4.1).
func (r *Reader) reference(c rune) *SyntaxError {
	n := len(r.word)
	number := n > 0 && r.word[0] == '#'
	hex := number && n > 1 && r.word[1] == 'x'
	switch {
	case c == ';' && (n > 2 || n == 2 && !hex || n == 1 && !number):
		return r.refer(number)
	case n == 0 && (c == '#' || isNameStart(c)), n > 0 && !number && isName(c):
	case n == 1 && number && c == 'x', number && '0' <= c && c <= '9':
	case hex && ('a' <= c && c <= 'f' || 'A' <= c && c <= 'F'):
	default:
		return r.wrongAt(r.amp, NotWellFormed, "& that begins no reference")
	}
	r.word = utf8.AppendRune(r.word, c)
	return nil
}

// refer puts in what a reference stands for. Such a character is never white space to be normalised, nor markup.
func (r *Reader) refer(number bool) *SyntaxError {
	var c rune
	if number {
		if c = charOf(string(r.word[1:])); !isChar(c) {
			return r.wrongAt(r.amp, NotWellFormed, "the reference &%s; to no character of XML 1.0", r.word)
		}
	} else if c = entities[string(r.word)]; c == 0 {
		return r.wrongAt(r.amp, Restricted, "the entity &%s;", r.word)
	}
	r.in = r.back
	if r.in == atValue {
		r.val = utf8.AppendRune(r.val, c)
	} else {
		r.text = utf8.AppendRune(r.text, c)
	}
	return nil
}
