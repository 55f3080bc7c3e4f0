package config

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The codes of faults. They are a contract: scripts may ask for them.
const (
	codeUnreadable = "unreadable" // the file, or one that it names, cannot be read or used
	codeSyntax     = "syntax"     // it is not YAML
	codeYAML       = "yaml"       // it is YAML, but more of it than a configuration needs: anchors, tags, merge keys
	codeUnknown    = "unknown"    // there is no such key
	codeLater      = "later"      // a key of a coming version
	codeType       = "type"       // a list where a word is meant, and the like
	codeTwice      = "twice"      // given twice
	codeMissing    = "missing"    // not given
	codeVariable   = "variable"   // ${NAME} is not set, or not well written
	codeDomain     = "domain"     // no domain, or not in its canonical form (RFC 7622 3.2)
	codeAddress    = "address"    // not host:port
	codeContact    = "contact"    // not a URI
	codeNetwork    = "network"    // not a network
	codePath       = "path"       // not a path
	codeSecret     = "secret"     // too short, not one line, or open to every user of the machine
	codeNumber     = "number"     // not a whole number
	codeSize       = "size"       // not a number of bytes
	codeTime       = "time"       // not a duration
	codeRange      = "range"      // too small or too large
	codeChoice     = "choice"     // none of the words that may stand there
	codeClash      = "clash"      // two keys contradict each other
	codePlaintext  = "plaintext"  // something would cross a network without TLS, or could not
	codeUserDomain = "userdomain" // a domain that is not listed under users
	codeExpiry     = "expiry"     // a certificate ends soon
)

// Fault is one thing that is wrong, with its place and what to do. No part of it holds a secret.
type Fault struct {
	File    string // the file's name, or "--set KEY"
	Line    int    // from 1; 0 if there is none
	Column  int    // in runes from 1
	Width   int    // runes that the caret line marks
	Path    string // the key, a node by its domain; "" if it is about no key
	Code    string // for machines
	Message string // what is wrong
	Mend    string // what to do, "" if the message says it
	Source  string // the line, secrets as bullets; "" if the message quotes the value
	Warning bool   // the server starts nevertheless

	caret int  // the fault's first rune in Source, from 1; 0 if that is hidden
	meant bool // the key has the value that was meant, so the rules of several keys still hold
}

// Error says the fault in one line.
func (f *Fault) Error() string {
	text := f.place(true) + ": " + f.Message
	if f.Mend != "" {
		text += "; mend: " + f.Mend
	}
	return text
}

// place is FILE, FILE:LINE or FILE:LINE:COLUMN.
func (f *Fault) place(column bool) string {
	switch {
	case f.Line == 0:
		return f.File
	case column && f.Column > 0:
		return fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
	}
	return f.File + ":" + strconv.Itoa(f.Line)
}

// Faults are all that is wrong with one configuration: faults by place, then warnings by place.
type Faults []Fault

// Fatal reports whether a server must not start: there is more than warnings.
func (fs Faults) Fatal() bool {
	return slices.ContainsFunc(fs, func(f Fault) bool { return !f.Warning })
}

func (fs Faults) sort() {
	rank := func(f Fault) int {
		if f.Warning {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(fs, func(a, b Fault) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		if d := a.Line - b.Line; d != 0 {
			return d
		}
		return a.Column - b.Column
	})
}

// scrub puts bullets for secrets that stand anywhere else in the file than where a secret belongs.
func (fs Faults) scrub(secrets []Secret) {
	for i := range fs {
		for _, s := range secrets {
			for _, text := range []*string{&fs[i].Message, &fs[i].Mend, &fs[i].Source, &fs[i].Path} {
				if s != "" && strings.Contains(*text, string(s)) {
					*text = strings.ReplaceAll(*text, string(s), bullets)
				}
			}
			if strings.Contains(fs[i].Source, bullets) {
				fs[i].Width = min(fs[i].Width, utf8.RuneCountInString(fs[i].Source))
			}
		}
	}
}

// mendColumn is where mends stand, unless the source line is longer.
const mendColumn = 37

// Colours of a terminal; with none all are empty.
type palette struct{ fault, warning, mend, faint, off string }

var colours = map[bool]palette{true: {"\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[2m", "\x1b[0m"}}

// Write prints a heading and each fault: its place and message, the source line, a caret line with the mend. It prints
// nothing if there are none. The error is the writer's.
func (fs Faults) Write(w io.Writer, colour bool) error {
	if len(fs) == 0 {
		return nil
	}
	paint := colours[colour]
	var out bytes.Buffer
	file, wide := fs[0].File, 0
	for i := range fs {
		if fs[i].Line > 0 { // not --set
			file = fs[i].File
		}
		if !fs[i].Warning {
			wide = max(wide, utf8.RuneCountInString(fs[i].place(true)))
		}
	}
	fmt.Fprintf(&out, "%s: %s\n", file, fs.heading())
	for i := range fs {
		fs[i].write(&out, wide, paint)
	}
	_, err := w.Write(out.Bytes())
	return err
}

// heading is "6 faults, 1 warning".
func (fs Faults) heading() string {
	warnings := 0
	for _, f := range fs {
		if f.Warning {
			warnings++
		}
	}
	var parts []string
	if n := len(fs) - warnings; n > 0 {
		parts = append(parts, count(n, "fault"))
	}
	if warnings > 0 {
		parts = append(parts, count(warnings, "warning"))
	}
	return strings.Join(parts, ", ")
}

func (f *Fault) write(out *bytes.Buffer, wide int, paint palette) {
	mend := ""
	if f.Mend != "" {
		mend = paint.mend + "mend: " + f.Mend + paint.off
	}
	if f.Warning {
		fmt.Fprintf(out, "  %swarning%s %s  %s", paint.warning, paint.off, f.place(false), f.Message)
	} else {
		fmt.Fprintf(out, "  %-*s  %s", wide, f.place(true), f.Message)
	}
	if f.Source == "" || f.Warning {
		out.WriteString(behind(mend, 6) + "\n")
		return
	}
	source := fmt.Sprintf("%6d | %s", f.Line, f.Source)
	if f.caret == 0 { // hidden: there is nothing to point at
		out.WriteString("\n" + source + behind(mend, mendColumn-utf8.RuneCountInString(source)) + "\n")
		return
	}
	width := max(1, min(f.Width, utf8.RuneCountInString(f.Source)-f.caret+1))
	left := strings.Repeat(" ", f.caret-1)
	marks := "^" + strings.Repeat("~", width-1)
	gap := mendColumn - len("       | ") - len(left) - width
	fmt.Fprintf(out, "\n%s\n       | %s%s%s%s%s\n", source, left, paint.fault, marks, paint.off, behind(mend, gap))
}

// behind is text behind a gap of at least three columns, or nothing.
func behind(text string, gap int) string {
	if text == "" {
		return ""
	}
	return strings.Repeat(" ", max(3, gap)) + text
}
