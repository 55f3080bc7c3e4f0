package stanza

import (
	"bytes"
	"encoding/xml"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A second, slow checker for what encoding/xml lets through and a stream must not have. It is written apart
// from the Scanner: with regular expressions over the bytes of each token.
var (
	startTagForm = regexp.MustCompile(`^<[^\s/>]+(?:\s+[^\s=]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*\s*/?>$`)
	nameForm     = regexp.MustCompile(`^[^:]+(?::[^:]+)?$`)
	partForm     = regexp.MustCompile(`(?:^|:)[-.0-9·\x{300}-\x{36f}\x{203f}\x{2040}]`)
	wideSpace    = regexp.MustCompile(`[\f\v]`)
	longRef      = regexp.MustCompile(`&[^;&<]{60,}`)
	charRef      = regexp.MustCompile(`&#(x?)0*([0-9a-fA-F]{1,8});`)
	tagName      = regexp.MustCompile(`^</?([^\s/>]+)`)
	attrForm     = regexp.MustCompile(`\s([^\s=]+)\s*=\s*(?:"[^"]*"|'[^']*')`)
)

// restriction tells in a word what in the stream is forbidden although encoding/xml takes it; empty is nothing.
// It looks at what encoding/xml can read.
func restriction(stream []byte) string {
	d := xml.NewDecoder(bytes.NewReader(stream))
	var open []scope
	root := ""
	for {
		from := d.InputOffset()
		tok, err := d.RawToken()
		if err != nil {
			return edge(stream[from:], len(open), root)
		}
		raw := stream[from:d.InputOffset()]
		switch tok := tok.(type) {
		case xml.Comment:
			return "comment"
		case xml.Directive:
			return "declaration"
		case xml.ProcInst:
			if from != 0 || tok.Target != "xml" || xmlDecl.Find(raw) == nil || !bytes.Contains(raw, []byte("1.0")) {
				return "processing instruction"
			}
		case xml.CharData:
			if len(open) <= 1 && (len(bytes.Trim(tok, " \t\r\n")) > 0 || raw[0] != ' ' && len(bytes.Trim(raw, " \t\r\n")) > 0) {
				return "text at stream level"
			}
			if fault := badReference(raw); fault != "" && !bytes.HasPrefix(raw, []byte("<![")) {
				return fault
			}
		case xml.EndElement:
			if len(raw) == 0 { // of an empty-element tag
				open = open[:len(open)-1]
				continue
			}
			if len(open) == 0 {
				return "end without start"
			}
			if open = open[:len(open)-1]; len(open) == 0 && len(bytes.Trim(stream[d.InputOffset():], " \t\r\n")) > 0 {
				return "bytes after the end"
			}
		case xml.StartElement:
			if root != "" && len(open) == 0 {
				return "second root"
			}
			sc := scope{decls: declsOf(tok.Attr)}
			open = append(open, sc)
			if fault := badTag(raw, tok, open); fault != "" {
				return fault
			}
			if root == "" {
				root = string(raw)
			}
		}
	}
}

// badReference finds references that are too long, and those to surrogates: encoding/xml reads U+FFFD for them.
func badReference(raw []byte) string {
	if longRef.Match(raw) {
		return "long reference"
	}
	for _, m := range charRef.FindAllSubmatch(raw, -1) {
		base := 10
		if len(m[1]) > 0 {
			base = 16
		}
		if n, err := strconv.ParseUint(string(m[2]), base, 64); err == nil && n >= 0xD800 && n < 0xE000 {
			return "reference to a surrogate"
		}
	}
	return ""
}

// edge looks at the bytes that encoding/xml did not make a token of.
func edge(rest []byte, depth int, root string) string {
	switch {
	case bytes.HasPrefix(rest, []byte("<!")) && !bytes.HasPrefix(rest, []byte("<![")), bytes.HasPrefix(rest, []byte("<?")):
		return "incomplete comment, declaration or instruction"
	case depth <= 1 && len(bytes.Trim(rest, " \t\r\n")) > 0 && (rest[0] != '<' || bytes.HasPrefix(rest, []byte("<!["))):
		return "text at stream level"
	case root == "" && bytes.HasPrefix(rest, []byte("</")):
		return "end without start"
	case badReference(rest) != "":
		return badReference(rest)
	}
	return ""
}

// endings are what may be missing at the end of a stream.
var endings = []string{
	">", "/>", "='1'>", "a='1'>", "1'>", "1\">", "'1'>", ":a>", "]]>", ";", "p;", "CDATA[", "\x80", "\x80\x80>", "'/>", "</a>",
}

// illegal tells whether nothing that could follow would make a stream of it that encoding/xml and restriction
// let pass.
func illegal(stream []byte) bool {
	if wholeTokens(stream) {
		_, err := stdElements(stream)
		return !incomplete(err) || restriction(stream) != ""
	}
	for _, end := range endings {
		if longer := append(bytes.Clone(stream), end...); wholeTokens(longer) && !illegal(longer) {
			return restriction(stream) != ""
		}
	}
	return true
}

// wholeTokens tells whether the stream ends between two tokens.
func wholeTokens(stream []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(stream))
	for {
		if _, err := d.RawToken(); err != nil {
			return err == io.EOF
		}
	}
}

func badTag(raw []byte, tok xml.StartElement, open []scope) string {
	depth := len(open)
	switch {
	case !startTagForm.Match(raw) || wideSpace.Match(raw):
		return "form of the tag"
	case badReference(raw) != "":
		return badReference(raw)
	case depth-1 > DefaultLimits.Depth:
		return "depth"
	case len(tok.Attr) > DefaultLimits.Attrs:
		return "attributes"
	case len(raw) > DefaultLimits.Tag:
		return "tag length"
	case declared(open) > maxBindings:
		return "declarations in scope"
	}
	names := [][]byte{tagName.FindSubmatch(raw)[1]}
	for _, m := range attrForm.FindAllSubmatch(raw, -1) {
		names = append(names, m[1])
	}
	for _, n := range names {
		if !nameForm.Match(n) || partForm.Match(n) || !utf8.Valid(n) {
			return "name"
		}
	}
	if fault := badDecls(open[depth-1].decls); fault != "" {
		return fault
	}
	if fault := badNames(tok, open); fault != "" {
		return fault
	}
	space := spaceOf(open, tok.Name.Space)
	switch {
	case depth == 1 && (tok.Name.Local != "stream" || open[0].decls[tok.Name.Space] != NSStream):
		return "root"
	case depth == 1 && bytes.HasSuffix(raw, []byte("/>")):
		return "empty root"
	case depth == 1 && len(open[0].decls) > 33:
		return "many prefixes"
	case depth == 2 && tok.Name.Space != "" && (space == open[0].decls[""] || space == NSClient):
		return "prefixed stanza"
	case depth == 2 && tok.Name.Local == "stream" && space == NSStream:
		return "second stream header"
	}
	return ""
}

// declared counts the declarations in scope that stand below the top-level element.
func declared(open []scope) (n int) {
	for i := 2; i < len(open); i++ {
		n += len(open[i].decls)
	}
	return n
}

func badDecls(decls map[string]string) string {
	for prefix, uri := range decls {
		switch {
		case prefix == "xmlns", uri == NSXMLNS, (prefix == "xml") != (uri == NSXML), prefix != "" && uri == "":
			return "declaration of " + prefix
		}
	}
	return ""
}

func badNames(tok xml.StartElement, open []scope) string {
	if s := tok.Name.Space; s == "xmlns" || strings.HasPrefix(spaceOf(open, s), "undeclared ") && s != "" {
		return "prefix of the element"
	}
	seen, written := map[string]bool{}, map[string]bool{}
	for _, a := range tok.Attr {
		name := a.Name.Space + ":" + a.Name.Local
		if written[name] {
			return "attribute twice"
		}
		written[name] = true
		if a.Name.Space == "" || a.Name.Space == "xmlns" {
			continue
		}
		space := spaceOf(open, a.Name.Space)
		if strings.HasPrefix(space, "undeclared ") {
			return "prefix of an attribute"
		}
		if seen[space+" "+a.Name.Local] {
			return "expanded name twice"
		}
		seen[space+" "+a.Name.Local] = true
	}
	return ""
}
