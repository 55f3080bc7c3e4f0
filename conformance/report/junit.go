package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"time"

	"github.com/patchbay-im/patchbay/conformance"
)

// The elements of JUnit XML, as the readers of build servers know them.
type (
	junitRun struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string          `xml:"name,attr"`
		Tests    int             `xml:"tests,attr"`
		Failures int             `xml:"failures,attr"`
		Errors   int             `xml:"errors,attr"`
		Skipped  int             `xml:"skipped,attr"`
		Time     string          `xml:"time,attr"`
		At       string          `xml:"timestamp,attr"`
		Host     string          `xml:"hostname,attr"`
		About    []junitProperty `xml:"properties>property"`
		Cases    []junitCase     `xml:"testcase"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		File    string        `xml:"file,attr"`
		Time    string        `xml:"time,attr"`
		Skipped *junitOutcome `xml:"skipped"`
		Failure *junitOutcome `xml:"failure"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitOutcome struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes a run as JUnit XML: a suite for each section. Known failures are skipped there, for build servers have
// no other word for what fails and is expected to; changed ones are failures.
func WriteJUnit(w io.Writer, run *conformance.Run) error {
	out := junitRun{Name: "patchbay conformance " + string(run.Profile), Tests: len(run.Results), Time: seconds(run.Took)}
	for _, g := range groups(run.Results) {
		s := junitGroup(g, run)
		out.Failures += s.Failures
		out.Skipped += s.Skipped
		out.Suites = append(out.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	to := xml.NewEncoder(w)
	to.Indent("", "  ")
	if err := to.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junitGroup(g *group, run *conformance.Run) junitSuite {
	t := g.tally()
	s := junitSuite{Name: g.String(), Tests: len(g.results), Failures: t[conformance.Fail] + t[conformance.Changed],
		Skipped: t[conformance.Skipped] + t[conformance.Known], At: run.Started.UTC().Format("2006-01-02T15:04:05"),
		Host: Visible([]byte(run.Target)), About: []junitProperty{{"product", Visible([]byte(run.Product))}, {"version", run.Version}}}
	var took time.Duration
	for _, r := range g.results {
		took += r.Took
		s.Cases = append(s.Cases, junitOf(r, run.Profile))
	}
	s.Time = seconds(took)
	return s
}

func junitOf(r *conformance.Result, profile conformance.Profile) junitCase {
	c := junitCase{Class: fmt.Sprintf("%s.%s", profile, r.Case.Rule()), Name: r.Case.ID + " " + r.Case.Title, File: r.Case.File, Time: seconds(r.Took)}
	why := Visible([]byte(r.Why))
	about := fmt.Sprintf("%s, %s\n%s\n", r.Case.Level, r.Case.Source, place(r))
	switch r.Word {
	case conformance.Skipped:
		c.Skipped = &junitOutcome{Message: why}
	case conformance.Known:
		c.Skipped = &junitOutcome{Message: "known: " + why, Text: about + faultText(r)}
	case conformance.Changed:
		c.Failure = &junitOutcome{Message: "changed: it passes, and is expected to fail: " + why, Type: "changed", Text: about}
	case conformance.Fail:
		c.Failure = &junitOutcome{Message: failMessage(r), Type: string(r.Case.Level), Text: about + faultText(r)}
	case conformance.Soft:
		c.Out = "soft: " + why + "\n"
	}
	if r.Word != conformance.Pass && r.Word != conformance.Skipped {
		c.Out += briefLog(r)
	}
	return c
}

// failMessage is what came instead, in one line.
func failMessage(r *conformance.Result) string {
	if r.Fault == nil {
		return "it did not go on"
	}
	return point(r.Case, r.Fault).Got
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
