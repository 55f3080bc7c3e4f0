package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchbay-im/patchbay/conformance"
	"github.com/patchbay-im/patchbay/internal/say"
)

// choose picks the cases of a run, in their order.
func (j *judging) choose(all []*conformance.Case) ([]*conformance.Case, error) {
	profile := conformance.Profile(j.profile)
	if !slices.Contains(conformance.Profiles[:], profile) {
		return nil, fmt.Errorf("--profile is component, modern or sessions, not %q", say.Clean(j.profile))
	}
	least, err := j.least(profile)
	if err != nil {
		return nil, err
	}
	var of, chosen []*conformance.Case
	for _, c := range all {
		if c.Profile == profile {
			of = append(of, c)
		}
	}
	for flag, words := range map[string][]string{"--only": j.only, "--skip": j.skip} {
		for _, w := range words {
			if !slices.ContainsFunc(of, func(c *conformance.Case) bool { return named(c, w) }) {
				return nil, fmt.Errorf("%s: %q is no case, rule or section of the profile %s; --list shows them", flag, say.Clean(w), profile)
			}
		}
	}
	for _, c := range of {
		if (len(j.only) == 0 || namedBy(c, j.only)) && !namedBy(c, j.skip) && slices.Index(conformance.Levels[:], c.Level) <= least {
			chosen = append(chosen, c)
		}
	}
	return chosen, nil
}

// least is the index of the least level that is wanted.
func (j *judging) least(profile conformance.Profile) (int, error) {
	word := j.level
	if word == "" {
		word = string(conformance.Policy)
		if len(j.only) == 0 && (profile == conformance.Component || profile == conformance.Node) {
			word = string(conformance.May)
		}
	}
	least := slices.IndexFunc(conformance.Levels[:], func(l conformance.Level) bool { return strings.EqualFold(string(l), word) })
	if least < 0 {
		return 0, fmt.Errorf("--level is must, should, may or policy, not %q", say.Clean(word))
	}
	return least, nil
}

// named reports whether a word means a case: its id, its rule, or the letter of its section.
func named(c *conformance.Case, word string) bool {
	return strings.EqualFold(word, c.ID) || strings.EqualFold(word, c.Rule()) || strings.EqualFold(word, c.ID[:1])
}

func namedBy(c *conformance.Case, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return named(c, w) })
}

// list prints cases, a line each.
func list(out io.Writer, cases []*conformance.Case) error {
	wide := 0
	for _, c := range cases {
		wide = max(wide, len(c.ID))
	}
	for _, c := range cases {
		heavy := ""
		if c.Stress {
			heavy = "   (--stress)"
		}
		if _, err := fmt.Fprintf(out, "%-*s  %-6s  %s   %s%s\n", wide, c.ID, c.Level, c.Title, c.Source, heavy); err != nil {
			return err
		}
	}
	return nil
}

// cases gives the plays of the suite, or those of the user.
func (j *judging) cases() ([]*conformance.Case, error) {
	if j.plays == "" {
		all, err := conformance.Cases()
		if err != nil {
			return nil, &exitError{exitFailed, fmt.Errorf("read the cases: %w", err)}
		}
		return all, nil
	}
	all, err := conformance.CasesIn(os.DirFS(j.plays), filepath.ToSlash(j.plays))
	var missing *fs.PathError
	if errors.As(err, &missing) {
		return nil, fmt.Errorf("read the plays: %w", err)
	}
	return all, err
}

// ids completes what --only and --skip take.
func (j *judging) ids(_ *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	all, err := j.cases()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []string
	for _, c := range all {
		if string(c.Profile) == j.profile {
			words = append(words, c.ID+"\t"+c.Title)
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
