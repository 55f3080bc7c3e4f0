package conformance

import (
	"fmt"
	"strings"
)

// ParseError tells where a play is not one, and why.
type ParseError struct {
	File   string
	Line   int // from 1
	Col    int // bytes, from 0
	Width  int // bytes
	Source string
	What   string
}

// Error gives file, line and column, the line itself, and a caret below the fault.
func (e *ParseError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s\n%s", e.File, e.Line, e.Col+1, e.What, Caret(e.Source, e.Line, e.Col, e.Width))
}

// Caret gives a line of a file with its number, and below it a caret under the bytes from col on.
func Caret(source string, line, col, width int) string {
	number := fmt.Sprintf("%5d | ", line)
	col = min(col, len(source))
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, source[:col])
	return fmt.Sprintf("%s%s\n%s| %s^%s", number, source, strings.Repeat(" ", len(number)-2), pad, strings.Repeat("~", max(0, min(width, len(source)-col)-1)))
}

// misfit is a fault at a place of the file.
type misfit struct {
	at   place
	what string
}

// bad makes a misfit of some bytes of the unit.
func (u unit) bad(off, width int, what string) *misfit { return &misfit{u.place(off, width), what} }

// syntaxError is a fault in a text whose place in the file the caller knows.
type syntaxError struct {
	off, width int
	what       string
}

func fault(off, width int, what string) *syntaxError { return &syntaxError{off, max(1, width), what} }

// in makes a misfit of a fault in the unit, from some byte on.
func (e *syntaxError) in(u unit, off int) *misfit { return u.bad(off+e.off, e.width, e.what) }
