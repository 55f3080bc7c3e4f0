package conformance

import (
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Parse reads a play (docs/conformance.md). file is where it stands below the folder of the package,
// "cases/component/C19-charref-cr.txt": it gives the id and the profile. The error holds a *ParseError for each step with a fault.
func Parse(file, text string) (*Case, error) {
	text = strings.TrimSuffix(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	p := &parser{c: &Case{File: file, Lines: strings.Split(text, "\n"), ID: strings.TrimSuffix(path.Base(file), ".txt"),
		Profile: Profile(path.Base(path.Dir(file)))}, kept: map[string]bool{}, at: place{1, 0, 1}}
	if !idForm.MatchString(p.c.ID) {
		p.say(place{1, 0, 1}, "the file must be named as its rule and some words: C19-charref-cr.txt")
	}
	if !slices.Contains(Profiles[:], p.c.Profile) {
		p.say(place{1, 0, 1}, "the folder must be a profile: component, modern, sessions or node")
	}
	p.steps(p.facts())
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	return p.c, nil
}

// idForm is a rule, a dash, and words.
var idForm = regexp.MustCompile(`^[A-Z][0-9]{2}(-[a-z0-9]+)+$`)

// parser reads one play.
type parser struct {
	c    *Case
	kept map[string]bool // names that have a value by now
	at   place           // of the step or the fact that is read
	errs []error
}

// say notes a fault.
func (p *parser) say(at place, what string) {
	p.errs = append(p.errs, &ParseError{File: p.c.File, Line: at.line, Col: at.col, Width: at.width, Source: p.c.Lines[at.line-1], What: what})
}

// facts reads what stands above the empty line, and gives the number of the line behind it.
func (p *parser) facts() (next int) {
	seen := map[string]bool{}
	last := ""
	i := 0
	for ; i < len(p.c.Lines) && strings.TrimSpace(p.c.Lines[i]) != ""; i++ {
		line := p.c.Lines[i]
		at := place{i + 1, 0, len(line)}
		key, value, ok := strings.Cut(line, ":")
		switch {
		case line[0] == '#':
		case line[0] == ' ' && last == "about":
			p.c.About += " " + strings.TrimSpace(line)
		case !ok || line[0] == ' ':
			p.say(at, "this must be a fact, title: or source: for example; an empty line stands before the first step")
		case seen[key]:
			p.say(at, key+" is said twice")
		default:
			seen[key], last = true, key
			p.fact(at, key, strings.TrimSpace(value))
		}
	}
	for _, key := range []string{"title", "source", "level"} {
		if !seen[key] {
			p.say(place{1, 0, 1}, key+": is missing")
		}
	}
	return i
}

// fact takes one fact.
func (p *parser) fact(at place, key, value string) {
	if value == "" {
		p.say(at, key+": says nothing")
		return
	}
	switch key {
	case "title":
		p.c.Title = value
	case "source":
		p.c.Source = value
	case "about":
		p.c.About = value
	case "level":
		p.c.Level = Level(value)
		if !slices.Contains(Levels[:], p.c.Level) {
			p.say(at, "level is MUST, SHOULD, MAY or policy")
		}
	case "stress":
		p.c.Stress = true
		if value != "yes" {
			p.say(at, "stress is yes, or not said")
		}
	case "needs":
		for need := range strings.SplitSeq(value, ",") {
			need = strings.TrimSpace(need)
			if !slices.Contains([]string{needServer, needUsers}, need) {
				p.say(at, "needs names server or users")
			}
			p.c.Needs = append(p.c.Needs, need)
		}
	default:
		p.say(at, "there is no fact "+key+"; there are title, source, level, about, needs, stress")
	}
}

// What a case may need to know of its target.
const (
	needServer = "server"
	needUsers  = "users"
)

// steps reads what stands from a line on.
func (p *parser) steps(i int) {
	for i < len(p.c.Lines) {
		line := p.c.Lines[i]
		if strings.TrimSpace(line) == "" || line[0] == '#' {
			i++
			continue
		}
		first := i
		for i++; i < len(p.c.Lines) && strings.HasPrefix(p.c.Lines[i], " "); i++ {
		}
		if line[0] == ' ' {
			p.say(place{first + 1, 0, 1}, "this goes on with no step: a step begins at the beginning of a line")
			continue
		}
		p.at = place{first + 1, 0, len(line)}
		s, bad := p.step(first, i)
		if bad != nil {
			p.say(bad.at, bad.what)
			continue
		}
		p.c.steps = append(p.c.steps, s)
	}
	judges := func(s step) bool { return s.verb == vExpect || s.verb == vCheck || s.verb == vAlone }
	if len(p.errs) == 0 && !slices.ContainsFunc(p.c.steps, judges) {
		p.say(place{1, 0, 1}, "the play expects nothing, so it cannot fail")
	}
}

// known tells whether a name has a value when the step that is read is done.
func (p *parser) known(name string) bool {
	if p.kept[name] {
		return true
	}
	switch name {
	case "n", "run", "nowhere":
		return true
	case "server":
		return slices.Contains(p.c.Needs, needServer)
	case "users":
		return slices.Contains(p.c.Needs, needUsers)
	case "node":
		return p.c.Profile == Node
	}
	actor, part, more := strings.Cut(name, ".")
	if !actorForm.MatchString(actor) || p.c.Profile == Node {
		return p.c.Profile == Node && actor == "s" && slices.Contains([]string{"id", "proof"}, part)
	}
	if !slices.Contains(p.c.named, name[:2]) {
		p.c.named = append(p.c.named, name[:2])
	}
	return !more || slices.Contains([]string{"id", "proof", "secret"}, part)
}

// actorForm is a component, and perhaps one of its further connections.
var actorForm = regexp.MustCompile(`^c[1-3][a-z]?$`)
