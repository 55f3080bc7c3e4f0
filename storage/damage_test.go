package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// damageStatements is how many statements of three sessions are acknowledged before the damage.
const damageStatements = 40

// stopped gives the files of a database after two orderly stops: tables, no write-ahead file.
func stopped(t testing.TB) string {
	t.Helper()
	dir := killed(t, damageStatements)
	for range 2 {
		s := open(t, dir)
		attach(t, s, "node2.im.example")
		finish(t, s)
	}
	return dir
}

// running gives the files of a database that was stopped, opened again and killed: tables and a
// write-ahead file.
func running(t testing.TB) string {
	t.Helper()
	from := stopped(t)
	s := open(t, from)
	l := attach(t, s, "node3.im.example")
	if _, _, err := l.say(t, "late@im.example/x", 0, Take); err != nil {
		t.Fatal(err)
	}
	return copied(t, from)
}

// copied gives a copy of a directory, as a kill leaves it.
func copied(t testing.TB, from string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "sessions")
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "LOCK")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// contents is what the files of a directory hold, in short.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range files {
		b := read(t, filepath.Join(dir, f.Name()))
		all[f.Name()] = fmt.Sprintf("%d %q", len(b), bytes.TrimRight(b, "\x00"))
	}
	return all
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// refused sees that a database is not opened, for a reason in one line, and not changed.
func refused(t testing.TB, dir, why string) {
	t.Helper()
	before := contents(t, dir)
	s, err := OpenSessions(Options{Dir: dir})
	if err == nil {
		t.Errorf("it opens with %d sessions", s.Total())
		finish(t, s)
		return
	}
	said := err.Error()
	if !strings.Contains(said, why) || !strings.Contains(said, "the database is damaged (") ||
		strings.Contains(said, "\n") || strings.Count(said, dir) != 1 {
		t.Errorf("got  %s\nwant one line with %s", said, why)
	}
	if after := contents(t, dir); !maps.Equal(before, after) {
		t.Errorf("files were changed: %q", slices.Sorted(maps.Keys(after)))
	}
}

// opens sees that a database opens with as many sessions.
func opens(t testing.TB, dir string, sessions int) {
	t.Helper()
	s, err := OpenSessions(Options{Dir: dir})
	if err != nil {
		t.Error(err)
		return
	}
	if got := total(s); got != sessions {
		t.Errorf("%d sessions, want %d", got, sessions)
	}
	finish(t, s)
}

// TestDamagedFiles turns a bit, or takes the rest, at many places of each file. Either the database is
// refused, or no session is lost.
func TestDamagedFiles(t *testing.T) {
	places := 30
	if testing.Short() {
		places = 10
	}
	source := stopped(t)
	dir := copied(t, source)
	for _, kind := range []string{"*.sst", "MANIFEST", "KEYREGISTRY", "*.vlog"} {
		files, _ := filepath.Glob(filepath.Join(source, kind))
		if len(files) == 0 {
			t.Fatalf("no %s", kind)
		}
		for _, f := range files {
			b := read(t, f)
			for i := range places {
				at := i * len(b) / places
				turned := bytes.Clone(b)
				turned[at] ^= 1 << (i % 8)
				for what, now := range map[string][]byte{"a bit is turned": turned, "it is cut": b[:at]} {
					if err := os.RemoveAll(dir); err != nil {
						t.Fatal(err)
					}
					if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
						t.Fatal(err)
					}
					overwrite(t, filepath.Join(dir, filepath.Base(f)), now)
					s, err := OpenSessions(Options{Dir: dir})
					if err != nil {
						continue
					}
					if got := total(s); got != 3*damageStatements {
						t.Errorf("%s: %s at %d of %d: %d sessions", filepath.Base(f), what, at, len(b), got)
					}
					finish(t, s)
				}
			}
		}
	}
}

// TestDamageOfRunning: the same for what a kill leaves.
func TestDamageOfRunning(t *testing.T) {
	const all = 3*damageStatements + 1
	for _, c := range []struct {
		name, file string
		spoil      func([]byte) []byte
		why        string // empty: it opens
	}{
		{"as it was", "*.mem", func(b []byte) []byte { return b }, ""},
		{"a bit of a record", "*.mem", func(b []byte) []byte { b[walHead+8] ^= 4; return b }, "mem: damaged at byte 20: "},
		{"the key's number", "*.mem", func(b []byte) []byte { b[0] ^= 4; return b }, "Invalid datakey"},
		{"write-ahead file cut", "*.mem", func(b []byte) []byte { return b[:walHead+30] }, "mem: damaged at byte 20"},
		{"write-ahead file cut before its records", "*.mem", func(b []byte) []byte { return b[:7] }, "mem: damaged: it is cut short"},
		{"list cut to its head", "MANIFEST", func(b []byte) []byte { return b[:listHead] }, "MANIFEST: damaged: it does not name 00000"},
		{"list cut by its last change", "MANIFEST", func(b []byte) []byte { return b[:len(b)-1] }, "MANIFEST: damaged: it does not name 00000"},
		{"list of another program", "MANIFEST", func([]byte) []byte { return []byte("not a manifest") }, "MANIFEST: damaged"},
		{"list with a change half written", "MANIFEST", func(b []byte) []byte { return append(b, 0, 0, 0, 9, 1, 2, 3, 4, 10) }, ""},
		{"list with a wrong length", "MANIFEST", func(b []byte) []byte { b[listHead] = 0xff; return b }, "MANIFEST: damaged: a checksum is wrong"},
		{"table of length 0", "000001.sst", func([]byte) []byte { return nil }, "000001.sst: damaged"},
		{"table of zeros", "000001.sst", func(b []byte) []byte { clear(b); return b }, "000001.sst: damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := running(t)
			files, _ := filepath.Glob(filepath.Join(dir, c.file))
			if len(files) != 1 {
				t.Fatalf("%s: %v", c.file, files)
			}
			overwrite(t, files[0], c.spoil(read(t, files[0])))
			if c.why == "" {
				opens(t, dir, all)
			} else if c.file != "*.mem" || !strings.HasPrefix(c.why, "Invalid") {
				refused(t, dir, c.why)
			} else if _, err := OpenSessions(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "the database is damaged") {
				t.Errorf("got %v", err) // Badger has begun
			}
		})
	}
}

// TestMissing takes files away.
func TestMissing(t *testing.T) {
	for file, why := range map[string]string{
		"MANIFEST":   "MANIFEST: damaged: it is missing",
		"000001.sst": "000001.sst: damaged: it is missing",
	} {
		for _, dir := range []string{stopped(t), running(t)} {
			if err := os.Remove(filepath.Join(dir, file)); err != nil {
				t.Fatal(err)
			}
			refused(t, dir, why)
		}
	}
}

// TestLitter puts into a directory what a kill leaves there between two steps of Badger's. It is no damage.
func TestLitter(t *testing.T) {
	const stop = 3 * damageStatements
	for _, name := range []string{"00009.mem", "000009.sst", "000009.vlog", "MANIFEST-REWRITE", "REWRITE-KEYREGISTRY"} {
		for dir, sessions := range map[string]int{stopped(t): stop, running(t): stop + 1} {
			overwrite(t, filepath.Join(dir, name), nil)
			opens(t, dir, sessions)
		}
	}
	t.Run("table that a compaction was making", func(t *testing.T) {
		dir := stopped(t)
		overwrite(t, filepath.Join(dir, "000008.sst"), read(t, filepath.Join(dir, "000001.sst")))
		overwrite(t, filepath.Join(dir, "000009.sst"), make([]byte, 4096))
		opens(t, dir, stop)
	})
	t.Run("table to which a write-ahead file was being moved", func(t *testing.T) {
		dir := killed(t, damageStatements)
		after := copied(t, dir)
		finish(t, open(t, after))
		overwrite(t, filepath.Join(dir, "000001.sst"), read(t, filepath.Join(after, "000001.sst")))
		whole := copied(t, dir)
		opens(t, dir, stop)
		files, _ := filepath.Glob(filepath.Join(whole, "*.mem"))
		overwrite(t, files[0], make([]byte, 4096))
		refused(t, whole, "MANIFEST: damaged: it does not name 000001.sst, which has later records")
	})
}

// TestListAsBadger compares our reading of a list with Badger's, cut at each byte, with each bit turned.
func TestListAsBadger(t *testing.T) {
	whole := read(t, filepath.Join(stopped(t), "MANIFEST"))
	name := filepath.Join(t.TempDir(), "MANIFEST")
	compare := func(what string, at int, b []byte) {
		overwrite(t, name, b)
		ours, err := readList(name)
		f, ferr := os.Open(name)
		if ferr != nil {
			t.Fatal(ferr)
		}
		defer f.Close()
		theirs, _, terr := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(""))
		if terr != nil {
			return // Badger refuses it itself
		}
		maps.DeleteFunc(ours, func(_ uint64, is bool) bool { return !is })
		got, want := slices.Sorted(maps.Keys(ours)), slices.Sorted(maps.Keys(theirs.Tables))
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%s %d: got %v %v, want %v", what, at, got, err, want)
		}
	}
	for at := listHead; at <= len(whole); at++ {
		compare("cut to", at, whole[:at])
	}
	for i := range len(whole) * 8 {
		b := bytes.Clone(whole)
		b[i/8] ^= 1 << (i % 8)
		compare("bit", i, b)
	}
}

// TestListRemoved: a table that the list calls removed may be there still, whatever is in it.
func TestListRemoved(t *testing.T) {
	dir := t.TempDir()
	overwrite(t, filepath.Join(dir, "MANIFEST"), appendChanges(nil, []byte{8, 1}, []byte{8, 1, 16, 1}))
	from := stopped(t)
	overwrite(t, filepath.Join(dir, "000001.sst"), read(t, filepath.Join(from, "000001.sst")))
	opens(t, dir, 0)
}

// appendChanges appends a list's head and its changes, each by itself.
func appendChanges(b []byte, changes ...[]byte) []byte {
	b = append(b, "Bdgr\x00\x00\x00\x08"...)
	for _, c := range changes {
		m := append([]byte{10, byte(len(c))}, c...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(m)))
		b = binary.BigEndian.AppendUint32(b, crc32.Checksum(m, castagnoli))
		b = append(b, m...)
	}
	return b
}
