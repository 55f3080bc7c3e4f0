package conformance

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

//go:embed rules.txt
var ruleText string

// Rule is one rule of the catalogue. A case is of the rule that its id begins with.
type Rule struct {
	ID        string // "C19"
	Section   string // "Closing and errors", the same for all that share the letter
	Level     Level  // of the strongest of its cases
	Profiles  []Profile
	Source    string // "RFC 6120 4.9.3.18; XML 1.0 2.5"
	Says      string // what is right, as a sentence
	Unseen    string // why no case can see it, empty if one can
	Choice    string // where patchbay goes a way of its own, may be empty
	Corrected string // what an earlier catalogue said, and what the text says, may be empty
	Unchecked string // what of the sources was not read, may be empty
}

// Rules gives the catalogue, in the order of the ids.
func Rules() []Rule {
	rules, err := parseRules(ruleText)
	if err != nil {
		return nil // the text is part of the program, and tested
	}
	return rules
}

var (
	ruleForm    = regexp.MustCompile(`^([A-Z][0-9]{2}) \| (\S+) \| ([a-z, -]+) \| ([^|]+) \| ([^|]+\.)$`)
	sectionForm = regexp.MustCompile(`^# ([A-Z]) (.+)$`)
)

// parseRules reads a catalogue. An error tells the line that is none.
func parseRules(text string) ([]Rule, error) {
	var rules []Rule
	sections := map[string]string{}
	for n, line := range strings.Split(text, "\n") {
		var err error
		switch {
		case line == "":
		case line[0] == '#':
			if m := sectionForm.FindStringSubmatch(line); m != nil {
				sections[m[1]] = m[2]
			}
		case line[0] == ' ' && len(rules) > 0:
			err = rules[len(rules)-1].note(strings.TrimSpace(line))
		default:
			var r Rule
			r, err = parseRule(line, sections)
			rules = append(rules, r)
		}
		if err != nil {
			return nil, fmt.Errorf("read rules.txt:%d: %w", n+1, err)
		}
	}
	return rules, nil
}

// parseRule reads the first line of a rule.
func parseRule(line string, sections map[string]string) (Rule, error) {
	m := ruleForm.FindStringSubmatch(line)
	if m == nil {
		return Rule{}, fmt.Errorf("%q is not id | level | profiles | sources | sentence", line)
	}
	r := Rule{ID: m[1], Level: Level(m[2]), Source: m[4], Says: m[5], Section: sections[m[1][:1]]}
	switch {
	case !slices.Contains(Levels[:], r.Level):
		return r, fmt.Errorf("%s is no level", r.Level)
	case r.Section == "":
		return r, fmt.Errorf("no section %s has begun", r.ID[:1])
	case m[3] == "-":
		return r, nil
	}
	for name := range strings.SplitSeq(m[3], ", ") {
		if !slices.Contains(Profiles[:], Profile(name)) {
			return r, fmt.Errorf("%s is no profile", name)
		}
		r.Profiles = append(r.Profiles, Profile(name))
	}
	return r, nil
}

// note takes a line that stands below a rule.
func (r *Rule) note(line string) error {
	key, value, _ := strings.Cut(line, " ")
	to := map[string]*string{"unseen:": &r.Unseen, "choice:": &r.Choice, "corrected:": &r.Corrected, "unchecked:": &r.Unchecked}[key]
	switch {
	case to == nil:
		return fmt.Errorf("a rule has no %s", key)
	case *to != "":
		return fmt.Errorf("%s has two %s", r.ID, key)
	}
	*to = strings.TrimSpace(value)
	return nil
}
