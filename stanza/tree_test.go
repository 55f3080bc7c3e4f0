package stanza

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"sort"
	"strings"
)

// contentSpace stands in trees for the content namespace of the stream, whatever its name.
const contentSpace = "CONTENT"

// scope is an open element of a tree.
type scope struct {
	decls map[string]string // prefix to URI; "" is the default namespace
	line  int
	text  string
	own   bool
}

// treeOf reads a stream with encoding/xml and gives its elements below the root, one line each: depth,
// namespace, name, attributes, direct text. It resolves namespaces by itself. A stanza's own content (see
// FlagNestedNS) is in contentSpace however that is spelled.
func treeOf(stream []byte) ([]string, error) {
	d := xml.NewDecoder(bytes.NewReader(stream))
	var lines []string
	var open []scope
	content := ""
	for {
		tok, err := d.RawToken()
		if err == io.EOF {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			sc := scope{decls: declsOf(tok.Attr), line: -1}
			if len(open) == 0 {
				content = sc.decls[""]
				sc.own = true
				open = append(open, sc)
				continue
			}
			up := open[len(open)-1]
			uri, has := sc.decls[""]
			mine := !has || uri == content || uri == NSClient
			sc.own = up.own && tok.Name.Space == "" && mine
			if has && sc.own {
				sc.decls[""] = contentSpace
			}
			open = append(open, sc)
			open[len(open)-1].line = len(lines)
			lines = append(lines, lineOf(open, tok))
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].text += string(tok)
			}
		case xml.EndElement:
			if len(open) == 0 {
				return lines, fmt.Errorf("end tag %v without start tag", tok)
			}
			if sc := open[len(open)-1]; sc.line >= 0 {
				lines[sc.line] += fmt.Sprintf(" %q", sc.text)
			}
			open = open[:len(open)-1]
		}
	}
}

func declsOf(attrs []xml.Attr) map[string]string {
	decls := map[string]string{}
	for _, a := range attrs {
		if a.Name.Space == "xmlns" {
			decls[a.Name.Local] = plainSpace.Replace(a.Value)
		} else if a.Name.Space == "" && a.Name.Local == "xmlns" {
			decls[""] = plainSpace.Replace(a.Value)
		}
	}
	return decls
}

func lineOf(open []scope, tok xml.StartElement) string {
	var attrs []string
	for _, a := range tok.Attr {
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
			continue
		}
		space := ""
		if a.Name.Space != "" {
			space = spaceOf(open, a.Name.Space)
		}
		attrs = append(attrs, attrLine(space, a.Name.Local, a.Value))
	}
	sort.Strings(attrs)
	return fmt.Sprintf("%d {%s}%s%s", len(open)-1, spaceOf(open, tok.Name.Space), tok.Name.Local, strings.Join(attrs, ""))
}

// plainSpace does for attribute values what encoding/xml leaves out: XML 1.0 3.3.3.
var plainSpace = strings.NewReplacer("\t", " ", "\r\n", " ", "\n", " ", "\r", " ")

func attrLine(space, local, value string) string {
	return fmt.Sprintf(" {%s}%s=%q", space, local, plainSpace.Replace(value))
}

// spaceOf resolves a prefix; the default of the stream header is contentSpace.
func spaceOf(open []scope, prefix string) string {
	if prefix == "xml" {
		return NSXML
	}
	for i := len(open) - 1; i >= 0; i-- {
		uri, ok := open[i].decls[prefix]
		if ok && i == 0 && prefix == "" {
			return contentSpace
		}
		if ok {
			return uri
		}
	}
	return "undeclared " + prefix
}

// walkTree gives the lines of treeOf by way of a Walker. Walker.Space calls all content namespaces the same.
func walkTree(h *Header, prefixes []Prefix) []string {
	var lines []string
	w := h.Walk()
	w.Prefixes = prefixes
	for w.Next() {
		var attrs []string
		for t := tagAt(w.raw, w.tag(w.Depth())); t.next(); {
			if isDecl(t.name) {
				continue
			}
			space, local := "", string(t.name)
			if prefix, rest, ok := strings.Cut(local, ":"); ok {
				local = rest
				uri, _ := w.binding([]byte(prefix))
				if space = string(uri); prefix == "xml" {
					space = NSXML
				}
				for _, p := range prefixes {
					if space == "" && p.Name == prefix {
						space = p.URI
					}
				}
			}
			attrs = append(attrs, attrLine(space, local, string(AppendUnescaped(nil, t.value))))
		}
		sort.Strings(attrs)
		lines = append(lines, fmt.Sprintf("%d {%s}%s%s %q", w.Depth(), w.Space(), w.Local(), strings.Join(attrs, ""), w.AppendText(nil)))
	}
	return lines
}

// sameSpaces changes a line of treeOf to the namespaces that Walker.Space gives.
func sameSpaces(line string) string {
	for _, ns := range []string{contentSpace, NSComponent, NSServer} {
		line = strings.Replace(line, "{"+ns+"}", "{"+NSClient+"}", 1)
	}
	return line
}

// compareTrees tells the first difference.
func compareTrees(got, want []string) error {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Errorf("line %d is missing: %s", i, want[i])
		case i >= len(want):
			return fmt.Errorf("line %d is too much: %s", i, got[i])
		case got[i] != want[i]:
			return fmt.Errorf("line %d\ngot  %s\nwant %s", i, got[i], want[i])
		}
	}
	return nil
}
