package report

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/patchbay-im/patchbay/conformance"
)

// writers are the forms of a report, by the ending of its file.
var writers = map[string]func(w io.Writer, run *conformance.Run) error{
	".tap": WriteTAP, ".xml": WriteJUnit, ".json": WriteJSON, ".html": WriteHTML,
}

// CheckName says whether a report can have this name: its ending says which form it takes.
func CheckName(file string) error {
	if writers[filepath.Ext(file)] != nil {
		return nil
	}
	var known []string
	for ending := range writers {
		known = append(known, ending)
	}
	slices.Sort(known)
	return fmt.Errorf("a report ends in %s, not %q", strings.Join(known, ", "), filepath.Ext(file))
}

// Save writes a report of a run into a file, in the form that its ending names.
func Save(file string, run *conformance.Run) error {
	if err := CheckName(file); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := writers[filepath.Ext(file)](&b, run); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}
