package report

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"github.com/patchbay-im/patchbay/conformance"
)

// Format is the first field of a run kept as JSON. Its number rises when what is read by it would be misread by older
// programs; fields may be added without.
const Format = "patchbay-conformance-run/1"

// The bounds of a wire log that is kept: a case under stress may send many megabytes.
const (
	keptBytes   = 64 << 10 // of each record
	keptRecords = 2000     // the last so many of each case
)

// The form of a run as JSON (docs/conformance.md, "Reports"). Times are in microseconds.
type (
	jsonRun struct {
		Format  string       `json:"format"`
		Version string       `json:"version"`
		Target  string       `json:"target"`
		Product string       `json:"product,omitempty"`
		Profile string       `json:"profile"`
		Grade   Grade        `json:"grade,omitempty"` // follows from the results
		Safe    bool         `json:"safe"`
		Started time.Time    `json:"started"`
		Took    int64        `json:"took_us"`
		Results []jsonResult `json:"results"`
	}
	jsonResult struct {
		ID     string       `json:"id"`
		Title  string       `json:"title"`
		Source string       `json:"source"`
		About  string       `json:"about,omitempty"`
		Level  string       `json:"level"`
		File   string       `json:"file"`
		Word   string       `json:"word"`
		Why    string       `json:"why,omitempty"`
		Took   int64        `json:"took_us"`
		Fault  *jsonFault   `json:"fault,omitempty"`
		Play   []string     `json:"play"`
		Before int          `json:"wire_before,omitempty"` // records that were not kept
		Wire   []jsonRecord `json:"wire,omitempty"`
	}
	jsonFault struct {
		Line  int    `json:"line"`
		Col   int    `json:"col"`
		Width int    `json:"width"`
		Got   string `json:"got"`
		After int64  `json:"after_us"`
	}
	jsonRecord struct {
		At     int64  `json:"at_us"`
		Actor  string `json:"actor"`
		Kind   string `json:"kind"`
		Text   string `json:"text,omitempty"`   // what can be shown
		Base64 []byte `json:"base64,omitempty"` // what cannot
		Cut    int    `json:"cut,omitempty"`    // bytes beyond that were not kept
	}
)

var kinds = map[conformance.RecordKind]string{conformance.Sent: "sent", conformance.Received: "received", conformance.Noted: "noted"}

// WriteJSON writes a whole run with its wire logs, so that Load can read it again.
func WriteJSON(w io.Writer, run *conformance.Run) error {
	out := jsonRun{Format: Format, Version: run.Version, Target: run.Target, Product: Visible([]byte(run.Product)), Profile: string(run.Profile), Grade: GradeOf(run), Safe: run.Safe,
		Started: run.Started.UTC(), Took: run.Took.Microseconds(), Results: make([]jsonResult, 0, len(run.Results))}
	for i := range run.Results {
		out.Results = append(out.Results, toJSON(&run.Results[i]))
	}
	to := json.NewEncoder(w)
	to.SetEscapeHTML(false)
	to.SetIndent("", " ")
	return to.Encode(out)
}

func toJSON(r *conformance.Result) jsonResult {
	c := r.Case
	out := jsonResult{ID: c.ID, Title: c.Title, Source: c.Source, About: c.About, Level: string(c.Level), File: c.File, Word: string(r.Word), Why: Visible([]byte(r.Why)),
		Took: r.Took.Microseconds(), Play: c.Lines}
	if f := r.Fault; f != nil {
		out.Fault = &jsonFault{f.Line, f.Col, f.Width, Visible([]byte(f.Got)), f.After.Microseconds()}
	}
	records := r.Wire
	if out.Before = max(len(records)-keptRecords, 0); out.Before > 0 {
		records = records[out.Before:]
	}
	for _, rec := range records {
		kept := head(rec.Bytes, keptBytes)
		j := jsonRecord{At: rec.At.Microseconds(), Actor: rec.Actor, Kind: kinds[rec.Kind], Cut: len(rec.Bytes) - len(kept)}
		if plain(kept) {
			j.Text = string(kept)
		} else {
			j.Base64 = kept
		}
		out.Wire = append(out.Wire, j)
	}
	return out
}

// plain reports whether all of b can be shown as it is, or escaped by JSON.
func plain(b []byte) bool {
	return Visible(lineEnds.ReplaceAll(b, nil)) == string(lineEnds.ReplaceAll(b, nil))
}

var lineEnds = regexp.MustCompile(`[\r\n\t]`)

// Load reads a run that was kept as JSON.
func Load(r io.Reader) (*conformance.Run, error) {
	var in jsonRun
	if err := json.NewDecoder(r).Decode(&in); err != nil {
		return nil, fmt.Errorf("read a run: %w", err)
	}
	if in.Format != Format {
		return nil, fmt.Errorf("read a run: its format is %q, and this program reads %s", in.Format, Format)
	}
	run := &conformance.Run{Version: in.Version, Target: in.Target, Product: in.Product, Profile: conformance.Profile(in.Profile), Safe: in.Safe,
		Started: in.Started, Took: micros(in.Took)}
	for i := range in.Results {
		res, err := fromJSON(&in.Results[i], run.Profile)
		if err != nil {
			return nil, fmt.Errorf("read a run: result %d: %w", i+1, err)
		}
		run.Results = append(run.Results, res)
	}
	return run, nil
}

func fromJSON(in *jsonResult, profile conformance.Profile) (conformance.Result, error) {
	c := &conformance.Case{ID: in.ID, Title: in.Title, Source: in.Source, About: in.About, Level: conformance.Level(in.Level), Profile: profile, File: in.File, Lines: in.Play}
	out := conformance.Result{Case: c, Word: conformance.Word(in.Word), Why: in.Why, Took: micros(in.Took)}
	switch {
	case in.ID == "":
		return out, fmt.Errorf("it has no id")
	case !slices.Contains(words, out.Word):
		return out, fmt.Errorf("%s has the word %q, which is none", in.ID, in.Word)
	case !slices.Contains(conformance.Levels[:], c.Level):
		return out, fmt.Errorf("%s has the level %q, which is none", in.ID, in.Level)
	}
	if f := in.Fault; f != nil {
		out.Fault = &conformance.Fault{Line: f.Line, Col: f.Col, Width: f.Width, Got: f.Got, After: micros(f.After)}
	}
	for _, rec := range in.Wire {
		r := conformance.Record{At: micros(rec.At), Actor: rec.Actor, Kind: conformance.Noted, Bytes: rec.Base64}
		for kind, name := range kinds {
			if name == rec.Kind {
				r.Kind = kind
			}
		}
		if rec.Base64 == nil {
			r.Bytes = []byte(rec.Text)
		}
		out.Wire = append(out.Wire, r)
	}
	return out, nil
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
