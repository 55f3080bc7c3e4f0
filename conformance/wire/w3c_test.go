package wire

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
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
	w3cTest    = regexp.MustCompile(`<TEST\s([^>]*)>`)
	w3cAttr    = regexp.MustCompile(`([A-Z]+)\s*=\s*(?:"([^"]*)"|'([^']*)')`)
	cdataForm  = regexp.MustCompile(`(?s)<!\[CDATA\[.*?\]\]>`)
	restricted = regexp.MustCompile(`<!DOCTYPE|<!--|<\?`)
	declForm   = regexp.MustCompile(`^<\?xml\s[^>]*\?>`)
	otherForm  = regexp.MustCompile(`^<\?xml\s[^>]*encoding\s*=\s*["'][^uU]`)
)

// TestW3C reads each document of the suite as a stream. The environment variable PATCHBAY_W3C names the file xmlts20130923.zip,
// which may not be copied into the project.
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
		for _, m := range w3cTest.FindAllSubmatch(unzip(t, files[c]), -1) {
			attrs := map[string]string{}
			for _, a := range w3cAttr.FindAllSubmatch(m[1], -1) {
				attrs[string(a[1])] = string(a[2]) + string(a[3])
			}
			if f := files[path.Join(path.Dir(c), attrs["URI"])]; f != nil && attrs["URI"] != "" {
				count[w3cCase(t, attrs, unzip(t, f))]++
			}
		}
	}
	t.Logf("documents by what was seen: %v", count)
	if count["refused: not well-formed"] < 150 || count["read"] < 30 || count["refused: restricted"] < 1000 {
		t.Error("the suite is not complete")
	}
}

func unzip(t *testing.T, f *zip.File) []byte {
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
	if e := attrs["EDITION"]; e != "" && !strings.Contains(e, "5") || strings.HasSuffix(attrs["RECOMMENDATION"], "1.1") {
		return "left out: another edition or version"
	}
	// The end of a file may be half a line end.
	r := NewReader(1 << 20)
	r.Feed(bytes.TrimRight(doc, "\r"))
	var err error
	for err == nil {
		_, err = r.Next()
	}
	tokens, read := ours(t, strings.TrimRight(string(doc), "\r"))
	fault, refused := err.(*SyntaxError)
	what := "not whole"
	if refused {
		what = fault.Kind.String()
	}
	plain := cdataForm.ReplaceAll(declForm.ReplaceAll(doc, nil), nil)
	switch {
	case attrs["TYPE"] == "not-wf" && read:
		t.Errorf("%s: not well-formed, and passes: %q", id, doc)
	case attrs["TYPE"] == "not-wf":
	case bytes.HasPrefix(doc, []byte("\xef\xbb\xbf")), bytes.IndexByte(doc, 0) >= 0, otherForm.Match(doc):
		if read || !refused || fault.Kind != NotWellFormed && fault.Kind != NotUTF8 {
			t.Errorf("%s: another encoding, and: %v", id, err)
		}
		return "refused: byte order mark or another encoding"
	case bytes.HasPrefix(doc, []byte(`<?xml version="1.7"?>`)) && refused && fault.Kind == NotWellFormed:
		return "refused: another version than XMPP's" // RFC 6120 11.8
	case restricted.Match(plain) && (!refused || fault.Kind != Restricted):
		t.Errorf("%s: has what is restricted, and: %v: %q", id, err, doc)
	case restricted.Match(plain):
	case attrs["NAMESPACE"] == "no":
		return "left out: not for namespaces"
	case !read:
		t.Errorf("%s: %s, but: %v: %q", id, attrs["TYPE"], err, doc)
	default:
		want, err := theirs(string(doc))
		if err == nil && !slices.Equal(tokens, want) || err != nil && !explained(err) {
			t.Errorf("%s: %q, encoding/xml: %q, %v", id, tokens, want, err)
		}
		return "read"
	}
	return "refused: " + what
}
