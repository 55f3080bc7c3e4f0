package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/conformance"
)

// kept writes a run as JSON and reads it again.
func kept(t *testing.T, run *conformance.Run) *conformance.Run {
	t.Helper()
	var b bytes.Buffer
	if err := WriteJSON(&b, run); err != nil {
		t.Fatal(err)
	}
	again, err := Load(&b)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// TestKept: what is kept is what there was, but for hostile characters of words about it.
func TestKept(t *testing.T) {
	run := judged(t)
	got := kept(t, run)
	for i := range run.Results {
		want := &run.Results[i]
		if want.Fault != nil {
			want.Fault.Got = Visible([]byte(want.Fault.Got))
		}
		if !reflect.DeepEqual(got.Results[i], *want) {
			t.Errorf("%+v, want %+v", got.Results[i], *want)
		}
	}
	got.Results, run.Results = nil, nil
	if !reflect.DeepEqual(got, run) {
		t.Errorf("%+v, want %+v", got, run)
	}
}

// TestKeptBounds: a case that sends without end makes no report without end, and it says what it has left out.
func TestKeptBounds(t *testing.T) {
	run := judged(t)
	run.Results = run.Results[:1]
	run.Results[0].Wire = make([]conformance.Record, keptRecords+5)
	last := &run.Results[0].Wire[keptRecords+4]
	last.Bytes = []byte(strings.Repeat("é", keptBytes/2) + "é")
	var b bytes.Buffer
	if err := WriteJSON(&b, run); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `"wire_before": 5`) || !strings.Contains(b.String(), `"cut": 2`) || strings.Contains(b.String(), "base64") {
		t.Error("it does not say what was left out")
	}
	if got := kept(t, run).Results[0].Wire; len(got) != keptRecords || len(got[keptRecords-1].Bytes) != keptBytes {
		t.Errorf("%d records are kept", len(got))
	}
}

func TestLoadRefuses(t *testing.T) {
	good := `{"format":"` + Format + `","results":[{"id":"A01","word":"pass","level":"MUST"}]}`
	if _, err := Load(strings.NewReader(good)); err != nil {
		t.Error(err)
	}
	for in, want := range map[string]string{
		"":                                       "read a run: EOF",
		"[]":                                     "read a run: json",
		`{"format":"other/2"}`:                   `its format is "other/2"`,
		strings.Replace(good, "pass", "win", 1):  `result 1: A01 has the word "win"`,
		strings.Replace(good, "MUST", "MUSS", 1): `result 1: A01 has the level "MUSS"`,
		strings.Replace(good, `"A01"`, `""`, 1):  "result 1: it has no id",
	} {
		if _, err := Load(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}

// FuzzKept: any bytes of a wire log come back as they were, and no report of them has a character that acts.
func FuzzKept(f *testing.F) {
	f.Add([]byte(hostile), "got")
	f.Fuzz(func(t *testing.T, wire []byte, got string) {
		run := handmade()
		run.Results = []conformance.Result{{Case: run.Results[0].Case, Word: conformance.Fail, Fault: &conformance.Fault{Line: 3, Col: 2, Width: 4, Got: got, After: time.Second},
			Wire: []conformance.Record{{At: ms, Actor: "c1", Kind: conformance.Received, Bytes: wire}}}}
		if again := kept(t, run).Results[0].Wire; len(wire) <= keptBytes && !bytes.Equal(again[0].Bytes, wire) {
			t.Errorf("%q comes back as %q", wire, again[0].Bytes)
		}
		for ending, write := range writers {
			var b bytes.Buffer
			if err := write(&b, run); err != nil {
				t.Fatal(err)
			}
			if text := strings.ReplaceAll(b.String(), "\n", ""); Visible([]byte(text)) != text {
				t.Errorf("the report %s of %q has what cannot be seen", ending, wire)
			}
		}
	})
}

// TestJUnitReads: the report is XML, and its sums are those of its cases.
func TestJUnitReads(t *testing.T) {
	var b bytes.Buffer
	if err := WriteJUnit(&b, judged(t)); err != nil {
		t.Fatal(err)
	}
	var in junitRun
	if err := xml.Unmarshal(b.Bytes(), &in); err != nil {
		t.Fatal(err)
	}
	tests, failures, skipped := 0, 0, 0
	for _, s := range in.Suites {
		for _, c := range s.Cases {
			tests++
			if c.Failure != nil {
				failures++
			}
			if c.Skipped != nil {
				skipped++
			}
		}
	}
	if in.Tests != tests || in.Failures != failures || in.Skipped != skipped || tests != 10 || failures != 4 || skipped != 4 {
		t.Errorf("it says %d, %d and %d; there are %d, %d and %d", in.Tests, in.Failures, in.Skipped, tests, failures, skipped)
	}
}

// TestPolicy: the page permits its own style and nothing else.
func TestPolicy(t *testing.T) {
	var b bytes.Buffer
	if err := WriteHTML(&b, judged(t)); err != nil {
		t.Fatal(err)
	}
	closed(t, b.String())
}

// closed holds a page against its own policy.
func closed(t *testing.T, page string) {
	t.Helper()
	_, rest, _ := strings.Cut(page, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	want := `content="default-src &#39;none&#39;; style-src &#39;sha256-` + strings.ReplaceAll(base64.StdEncoding.EncodeToString(sum[:]), "+", "&#43;") + "&#39;;"
	if !strings.Contains(page, want) || strings.Contains(page, " style=") || strings.Count(page, "<style>") != 1 {
		t.Errorf("the policy does not fit the style: want %s", want)
	}
}
