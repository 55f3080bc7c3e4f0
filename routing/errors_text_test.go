package routing_test

import (
	"slices"
	"strings"
	"testing"
)

// streamConditions are those of RFC 6120 4.9.3.
var streamConditions = strings.Fields(`bad-format bad-namespace-prefix conflict connection-timeout host-gone host-unknown
	improper-addressing internal-server-error invalid-from invalid-namespace invalid-xml not-authorized not-well-formed
	policy-violation remote-connection-failed reset resource-constraint restricted-xml see-other-host system-shutdown
	undefined-condition unsupported-encoding unsupported-feature unsupported-stanza-type unsupported-version`)

// mendVerbs are how a mend begins: it tells somebody to do something.
var mendVerbs = strings.Fields(`announce answer ask attach begin check choose close connect declare end give leave list
	mend open put read send try use write`)

// Bounds of a text, in bytes: libraries show it on one line, and so does the log.
const (
	maxText = 200
	filling = 64                                           // what a … may become: component shows no longer name
	atByte  = len(" (at byte 999999999999 of the stream)") // stanza says where
)

// textFault tells what is wrong with a stream error, "" if nothing is.
func textFault(e told) string {
	cause, mend, _ := strings.Cut(e.text, "; ")
	verb, _, _ := strings.Cut(mend, " ")
	size := len(strings.ReplaceAll(e.text, "…", strings.Repeat("x", filling)))
	if e.where == "stanza" {
		size += atByte
	}
	switch {
	case !slices.Contains(streamConditions, e.condition):
		return "RFC 6120 4.9.3 has no such condition"
	case len(cause) < 10 || strings.HasSuffix(cause, "."):
		return "there is no cause before a semicolon"
	case mend == "":
		return "there is no mend behind a semicolon"
	case !slices.Contains(mendVerbs, strings.TrimSuffix(verb, ",")):
		return "the mend begins with " + verb + ", which tells nobody to do anything"
	case size >= maxText:
		return "it may be too long"
	}
	return ""
}

// TestStreamErrorTexts: whatever ends a stream, its text says the cause and how to mend it: it is all that many libraries show.
func TestStreamErrorTexts(t *testing.T) {
	all := collect(t, streamPackages, streamError)
	if len(all) < 60 {
		t.Fatalf("only %d stream errors are found", len(all))
	}
	for _, e := range all {
		if fault := textFault(e); fault != "" {
			t.Errorf("%s: %s (%s): %s", e.condition, e.text, e.where, fault)
		}
	}
}

// TestStreamErrorTextsFault plants what TestStreamErrorTexts must find.
func TestStreamErrorTextsFault(t *testing.T) {
	for _, c := range []struct{ condition, text, says string }{
		{"not-authorized", "the digest is wrong; check the secret", ""},
		{"not-allowed", "the digest is wrong; check the secret", "no such condition"},
		{"not-authorized", "the digest is wrong", "no mend"},
		{"not-authorized", "check the secret; ", "no mend"},
		{"not-authorized", "wrong; check the secret", "no cause"},
		{"not-authorized", "the digest is wrong; it is not that of the secret", "nobody"},
		{"not-authorized", "the digest of … is not that of … for …; check the secret", "too long"},
	} {
		fault := textFault(told{condition: c.condition, text: c.text, where: "component"})
		if (fault == "") != (c.says == "") || !strings.Contains(fault, c.says) {
			t.Errorf("%s: %q, not %q", c.text, fault, c.says)
		}
	}
}
