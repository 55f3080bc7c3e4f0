package storage

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
)

// TestOneLine: a failure to open is told by the error alone, which names the directory once.
func TestOneLine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sessions")
	finish(t, open(t, dir))
	registry := filepath.Join(dir, "KEYREGISTRY")
	overwrite(t, registry, []byte("nothing that Badger knows of at all"))
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	_, err := OpenSessions(Options{Dir: dir, Log: logrus.NewEntry(log)})
	if err == nil || strings.Count(err.Error(), dir) != 1 || out.Len() > 0 {
		t.Errorf("got %v and the lines\n%s", err, out.String())
	}
}

// TestBadgerLog: what Badger calls an error is told, unless its caller is told it too.
func TestBadgerLog(t *testing.T) {
	for _, c := range []struct {
		format string
		quiet  bool
		want   string
	}{
		{"error flushing memtable to disk: %v, retrying", false, "level=error"},
		{"error flushing memtable to disk: %v, retrying", true, "level=debug"},
		{"Got error: %v for id: 7\n", false, "level=debug"},
		{"writeRequests: %v", false, "level=debug"},
	} {
		var out bytes.Buffer
		log := logrus.New()
		log.SetOutput(&out)
		log.SetLevel(logrus.DebugLevel)
		l := &badgerLog{to: logrus.NewEntry(log)}
		l.quiet.Store(c.quiet)
		l.Errorf(c.format, "no space")
		if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, c.want) {
			t.Errorf("%q, quiet %t: got %q, want %s", c.format, c.quiet, got, c.want)
		}
	}
}
