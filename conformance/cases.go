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
	sub, err := fs.Sub(caseFiles, "cases")
	if err != nil {
		return nil, err
	}
	return CasesIn(sub, "cases")
}

// CasesIn gives the cases of a tree that has a folder for each profile, by profile and id; name is what the tree is called. An error
// holds a *ParseError for each fault.
func CasesIn(tree fs.FS, name string) ([]*Case, error) {
	var cases []*Case
	var errs []error
	err := fs.WalkDir(tree, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(file) != ".txt" {
			return err
		}
		text, err := fs.ReadFile(tree, file)
		if err != nil {
			return err
		}
		c, err := Parse(path.Join(name, file), string(text))
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
