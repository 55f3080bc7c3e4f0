package docs

import "strings"

// Section is a heading of a page and the table below it, as plain text.
type Section struct {
	Title string
	Head  []string
	Rows  [][]string // each as long as Head
}

// Sections reads the headings of a page that have a table.
func Sections(page string) (all []Section) {
	title := ""
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "## "); ok {
			title = name
			continue
		}
		cells := cells(line)
		switch {
		case cells == nil:
		case len(all) == 0 || all[len(all)-1].Title != title:
			all = append(all, Section{Title: title, Head: cells})
		case strings.Trim(strings.Join(cells, ""), "-:") == "": // the line below the head
		default:
			s := &all[len(all)-1]
			for len(cells) < len(s.Head) {
				cells = append(cells, "")
			}
			s.Rows = append(s.Rows, cells[:len(s.Head)])
		}
	}
	return all
}

// cells divides a line of a table; nil if it is none.
func cells(line string) []string {
	line, ok := strings.CutPrefix(line, "|")
	if !ok {
		return nil
	}
	line = strings.ReplaceAll(strings.TrimSuffix(line, "|"), `\|`, "\x00")
	cells := strings.Split(line, "|")
	plain := strings.NewReplacer("\x00", "|", "`", "", "&lt;", "<", "&gt;", ">", "&amp;", "&")
	for i, c := range cells {
		cells[i] = strings.TrimSpace(plain.Replace(c))
	}
	return cells
}
