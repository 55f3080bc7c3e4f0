package conformance

import (
	"embed"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed all:cases
var caseFiles embed.FS

// Cases gives all cases the binary carries, by profile and id. An error holds a *ParseError for each fault.
func Cases() ([]*Case, error) {
	var cases []*Case
	var errs []error
	err := fs.WalkDir(caseFiles, "cases", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(file) != ".txt" {
			return err
		}
		text, err := caseFiles.ReadFile(file)
		if err != nil {
			return err
		}
		c, err := Parse(file, string(text))
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		cases = append(cases, c)
		return nil
	})
	slices.SortFunc(cases, func(a, b *Case) int {
		if n := slices.Index(Profiles[:], a.Profile) - slices.Index(Profiles[:], b.Profile); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	return cases, errors.Join(append(errs, err)...)
}
