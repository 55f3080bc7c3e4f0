package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/config"
)

// newLogger makes the logger of a server: short lines for people on a terminal, with dates elsewhere, or JSON.
func newLogger(w io.Writer, cfg config.Log, tty bool) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(w)
	if level, err := logrus.ParseLevel(cfg.Level); err == nil {
		log.SetLevel(level)
	}
	if cfg.Format == config.FormatJSON {
		log.SetFormatter(&logrus.JSONFormatter{TimestampFormat: "2006-01-02T15:04:05.000Z07:00"})
		return log
	}
	stamp := "2006-01-02T15:04:05.000Z07:00"
	if tty {
		stamp = "15:04:05"
	}
	log.SetFormatter(&lineFormatter{stamp: stamp, people: tty})
	return log
}

// lineFormatter writes "14:02:38 INFO  node attached   node=a.im.example link=1". For people, what to do stands below.
type lineFormatter struct {
	stamp  string
	people bool
}

// mendField is the field that says what to do.
const mendField = "mend"

// Format writes one entry; values with spaces or control characters are quoted, so that hostile text cannot
// forge a line.
func (f *lineFormatter) Format(e *logrus.Entry) ([]byte, error) {
	var b bytes.Buffer
	level := strings.ToUpper(e.Level.String())
	if e.Level == logrus.WarnLevel {
		level = "WARN"
	}
	fmt.Fprintf(&b, "%s %-5s %s", e.Time.Format(f.stamp), level, oneLine(e.Message))
	keys := make([]string, 0, len(e.Data))
	for k := range e.Data {
		if k != mendField || !f.people {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, byRank)
	for i, k := range keys {
		sep := " "
		if i == 0 {
			sep = "   "
		}
		fmt.Fprintf(&b, "%s%s=%s", sep, k, oneWord(fmt.Sprint(e.Data[k])))
	}
	b.WriteByte('\n')
	if mend, ok := e.Data[mendField]; ok && f.people {
		fmt.Fprintf(&b, "%*s mend: %s\n", len(f.stamp)+len(" WARN "), "", oneLine(fmt.Sprint(mend)))
	}
	return b.Bytes(), nil
}

// firstFields come first in a line, in this order; the rest follow by name.
var firstFields = []string{"node", "link", "from", "reason"}

func byRank(a, b string) int {
	i, j := slices.Index(firstFields, a), slices.Index(firstFields, b)
	switch {
	case i >= 0 && j >= 0:
		return i - j
	case i >= 0:
		return -1
	case j >= 0:
		return 1
	}
	return strings.Compare(a, b)
}

// oneLine shows control characters instead of sending them to the terminal.
func oneLine(s string) string {
	if strings.IndexFunc(s, control) < 0 {
		return s
	}
	return strings.Trim(fmt.Sprintf("%q", s), `"`)
}

// oneWord quotes a value that is not one word.
func oneWord(s string) string {
	if s == "" || strings.ContainsAny(s, " \"=") || strings.IndexFunc(s, control) >= 0 {
		return fmt.Sprintf("%q", s)
	}
	return s
}

func control(r rune) bool {
	return r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == '\u2028' || r == '\u202e'
}
