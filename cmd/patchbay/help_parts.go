package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/patchbay-im/patchbay/docs"
	"github.com/patchbay-im/patchbay/examples"
	"github.com/patchbay-im/patchbay/internal/config"
)

// columns is how wide the manual is.
const columns = 100

// fold breaks a text into lines that begin with lead, and from the second on with as many spaces.
func fold(lead, text string) string {
	var b strings.Builder
	line, blank := lead, strings.Repeat(" ", len(lead))
	for i, word := range strings.Fields(text) {
		if i > 0 && len([]rune(line))+1+len([]rune(word)) > columns {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = blank
		} else if i > 0 {
			line += " "
		}
		line += word
	}
	return b.String() + strings.TrimRight(line, " ") + "\n"
}

// nodeParts are the sources of the examples.
func nodeParts() (all []part) {
	for _, folder := range examples.Folders() {
		all = append(all, part{word: folder, text: examples.Source(folder)})
	}
	return all
}

// configParts are the keys, from the one table.
func configParts() []part {
	all := []part{{line: "keys     with their defaults; R: needs a restart\n"}}
	for _, k := range config.Keys() {
		restart, applied := "", "a reload applies it"
		if !k.Live {
			restart, applied = "   R", "it needs a restart"
		}
		line := "  " + k.Path
		text := fold(line+"  ", k.Doc) + fold("      ", strings.TrimSuffix(k.Kind+", "+k.Range, ", "))
		if k.Default != "" {
			line += ": " + k.Default
			text += "      default: " + k.Default + "\n"
		}
		all = append(all, part{k.Path, line + restart + "\n" + fold("      ", k.Doc), text + "      " + applied + "\n"})
	}
	return all
}

// errorParts are the rows of docs/errors.md, and the codes of faults in a configuration.
func errorParts() (all []part) {
	for _, s := range docs.Sections(docs.Errors) {
		all = append(all, part{line: strings.ToLower(s.Title[:1]) + s.Title[1:] + "\n"})
		for i, row := range s.Rows {
			p := part{word: row[0], text: row[0] + "\n"}
			for i, head := range s.Head[1:] {
				if row[i+1] != "" && head != "from" { // a package is of no use to an operator
					p.text += fold(fmt.Sprintf("  %-14s ", head), row[i+1])
				}
			}
			if i == 0 || s.Rows[i-1][0] != row[0] { // a condition has many texts, and one line in the list
				p.line = errorLine(s, row)
			}
			all = append(all, p)
		}
		all = append(all, part{line: "\n"})
	}
	all = append(all, part{line: "faults of a configuration file\n"})
	for _, s := range sections(topicText("faults")) {
		all = append(all, part{s.word, "  " + strings.ReplaceAll(strings.TrimSuffix(s.text, "\n"), "\n", "\n  ") + "\n", s.text})
	}
	return all
}

// errorLine is a row in the list of all: with its outcome and error if it has them.
func errorLine(s docs.Section, row []string) string {
	line := "  " + row[0]
	if i := slices.Index(s.Head, "outcome"); i > 0 {
		line = fmt.Sprintf("  %-20s %-8s  %s", row[0], row[i], row[i+1])
	}
	return line + "\n"
}
