package stanza

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// catalogues of the W3C XML Conformance Test Suite (20130923) that are about XML 1.0 and Namespaces 1.0.
var catalogues = []string{
	"xmltest/xmltest.xml", "ibm/ibm_oasis_not-wf.xml", "ibm/ibm_oasis_valid.xml", "ibm/ibm_oasis_invalid.xml", "sun/sun-not-wf.xml",
	"sun/sun-valid.xml", "sun/sun-invalid.xml", "sun/sun-error.xml", "oasis/oasis.xml", "japanese/japanese.xml",
	"eduni/namespaces/1.0/rmt-ns10.xml", "eduni/errata-2e/errata2e.xml", "eduni/errata-3e/errata3e.xml", "eduni/errata-4e/errata4e.xml",
}

var (
	w3cTest  = regexp.MustCompile(`<TEST\s([^>]*)>`)
	w3cAttr  = regexp.MustCompile(`([A-Z]+)\s*=\s*"([^"]*)"|([A-Z]+)\s*=\s*'([^']*)'`)
	w3cDecl  = regexp.MustCompile(`^<\?xml\s[^>]*\?>`)
	excluded = regexp.MustCompile(`<!DOCTYPE|<!--|<\?`)

	cdataForm = regexp.MustCompile(`(?s)<!\[CDATA\[.*?\]\]>`)
)

// TestW3C puts each document of the suite into a stream, as its one top-level element. The environment
// variable PATCHBAY_W3C names the file xmlts20130923.zip, which may not be copied into the project.
func TestW3C(t *testing.T) {
	name := os.Getenv("PATCHBAY_W3C")
	if name == "" {
		t.Skip("PATCHBAY_W3C does not name xmlts20130923.zip of the W3C XML Conformance Test Suite")
	}
	suite, err := zip.OpenReader(name)
	if err != nil {
		t.Fatal(err)
	}
	defer suite.Close()
	files := map[string]*zip.File{}
	for _, f := range suite.File {
		files[strings.TrimPrefix(f.Name, "xmlconf/")] = f
	}
	count := map[string]int{}
	for _, c := range catalogues {
		for _, m := range w3cTest.FindAllSubmatch(readZip(t, files[c]), -1) {
			attrs := map[string]string{}
			for _, a := range w3cAttr.FindAllSubmatch(m[1], -1) {
				attrs[string(a[1])+string(a[3])] = string(a[2]) + string(a[4])
			}
			if f := files[path.Join(path.Dir(c), attrs["URI"])]; f != nil && attrs["URI"] != "" {
				count[w3cCase(t, attrs, readZip(t, f))]++
			} else {
				count["not in the suite"]++
			}
		}
	}
	t.Logf("documents by what was seen: %v", count)
	if count["not well-formed, refused"] < 150 || count["well-formed, same tree"] < 30 || count["excluded by RFC 6120 11.1, refused"] < 1700 {
		t.Error("the suite is not complete")
	}
}

func readZip(t *testing.T, f *zip.File) []byte {
	t.Helper()
	if f == nil {
		t.Fatal("a catalogue is missing in the suite")
	}
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// w3cCase judges one document and says which kind of case it was.
func w3cCase(t *testing.T, attrs map[string]string, doc []byte) string {
	id := attrs["ID"]
	if e := attrs["EDITION"]; e != "" && !strings.Contains(e, "5") {
		return "other edition, left out"
	}
	if r := attrs["RECOMMENDATION"]; strings.HasSuffix(r, "1.1") {
		return "XML 1.1, left out"
	}
	decl := w3cDecl.Find(doc)
	if decl != nil && xmlDecl.Find(decl) == nil {
		if got := play(t, Limits{}, string(decl)+head); !strings.HasPrefix(got, "!") {
			t.Errorf("%s: the declaration %q passes", id, decl)
		}
		return "bad declaration, refused"
	}
	doc = bytes.TrimLeft(doc[len(decl):], " \t\r\n")
	stream := []byte(head + string(doc) + tail)
	spans, _, err := elementsOf(stream)
	accepted := err == nil && len(spans) == 1 && strings.HasSuffix(play(t, Limits{}, string(stream)), " end")
	switch {
	case excluded.Match(cdataForm.ReplaceAll(doc, nil)):
		if accepted {
			t.Errorf("%s: passes with a document type, comment or instruction: %q", id, doc)
		}
		return "excluded by RFC 6120 11.1, refused"
	case attrs["TYPE"] == "not-wf":
		if accepted && !strings.HasPrefix(play(t, Limits{}, string(decl)+head), "!") {
			t.Errorf("%s: not well-formed, but passes: %q", id, doc)
		}
		return "not well-formed, refused"
	case attrs["NAMESPACE"] == "no":
		return "not for namespaces, left out"
	case bytes.IndexByte(doc, 0) >= 0 || bytes.HasPrefix(doc, []byte("\xef\xbb\xbf")):
		if accepted {
			t.Errorf("%s: another encoding or a byte order mark passes", id)
		}
		return "UTF-16 or byte order mark, refused"
	case !accepted:
		t.Errorf("%s: well-formed, but: %v: %q", id, err, doc)
		return "failed"
	}
	return w3cTree(t, id, stream, spans[0])
}

// w3cTree compares the tree of an accepted document with that of encoding/xml.
func w3cTree(t *testing.T, id string, stream []byte, sp Span) string {
	want, err := treeOf(stream)
	if err != nil {
		if olderNames(err) {
			return "names of the fifth edition, accepted"
		}
		t.Errorf("%s: %v", id, err)
		return "failed"
	}
	for i := range want {
		want[i] = sameSpaces(want[i])
	}
	if err := compareTrees(walkTree(&Header{Raw: stream[sp.Lo:sp.Hi]}, nil), want); err != nil {
		t.Errorf("%s: %v", id, err)
	}
	return "well-formed, same tree"
}
