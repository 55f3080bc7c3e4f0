package ctl

import (
	"fmt"
	"strings"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/say"
)

// Doctor draws what was looked at and what to do. On a wide screen what is right is told too.
func (s Screen) Doctor(v api.Doctor) string {
	p := s.page(v.Time)
	p.line(text{v.Server, bold}, tell("   "), text{healthWord(v.State), toneOf(v.State)}, tell("   "+p.stamp(v.Time)))
	p.say("")
	longest := 0
	for _, c := range v.Checks {
		longest = max(longest, width(say.Clean(c.Check)))
	}
	for _, c := range v.Checks {
		head := "  " + pad(c.State, len(api.Warning), false) + "  " + pad(say.Clean(c.Check), longest, false) + "  "
		p.wrap(text{head, toneOf(c.State)}, c.Message)
		if c.Mend != "" {
			p.wrap(text{strings.Repeat(" ", width(head)) + "mend: ", dim}, c.Mend)
		}
	}
	p.say("")
	ok, warnings, failures := tally(v.Checks)
	p.say(fmt.Sprintf("%s: %d ok, %d warning, %d failed.", say.Count(len(v.Checks), "check"), ok, warnings, failures))
	return p.String()
}

func tally(checks []api.Finding) (ok, warnings, failures int) {
	for _, c := range checks {
		switch c.State {
		case api.OK:
			ok++
		case api.Warning:
			warnings++
		default:
			failures++
		}
	}
	return ok, warnings, failures
}

// The exit codes of a monitoring plugin (Nagios Plugin Development Guidelines), which are not those of patchbay.
const (
	NagiosOK       = 0
	NagiosWarning  = 1
	NagiosCritical = 2
	NagiosUnknown  = 3
)

// Nagios writes a self-check as a monitoring plugin does: one line with what is worst first, and the exit code. A bar
// divides the text from the figures in such a line, so none may stand in the text.
func Nagios(v api.Doctor) (line string, code int) {
	words := map[string]int{api.OK: NagiosOK, api.Warning: NagiosWarning, api.Failed: NagiosCritical}
	code, known := words[v.State]
	if !known {
		return nagiosLine("UNKNOWN", "the server says "+v.State), NagiosUnknown
	}
	ok, warnings, failures := tally(v.Checks)
	text := fmt.Sprintf("%s: %d checks", v.Server, len(v.Checks))
	others := -1
	for _, state := range []string{api.Failed, api.Warning} {
		for _, c := range v.Checks {
			if c.State != state {
				continue
			}
			if others++; others == 0 {
				text = v.Server + ": " + c.Message
			}
		}
	}
	if others > 0 {
		text += fmt.Sprintf(" (and %d more)", others)
	}
	figures := fmt.Sprintf(" | failed=%d warning=%d ok=%d", failures, warnings, ok)
	return strings.TrimSuffix(nagiosLine([]string{"OK", "WARNING", "CRITICAL"}[code], text), "\n") + figures + "\n", code
}

// NagiosUnreached is the line for a server that cannot be asked; its exit code is NagiosUnknown.
func NagiosUnreached(err error) string { return nagiosLine("UNKNOWN", err.Error()) }

func nagiosLine(word, said string) string {
	return "PATCHBAY " + word + " - " + strings.ReplaceAll(say.Clean(said), "|", "/") + "\n"
}
