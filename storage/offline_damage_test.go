package storage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// damageMail is how many messages are on disk before the damage; some are of many parts.
const damageMail = 60

// mailed gives the files of a store as a kill leaves them: tables of a stop, and a write-ahead file.
func mailed(t testing.TB) (dir string) {
	t.Helper()
	from, dir := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "queues")
	for half := range 2 {
		f := opened(t, OfflineOptions{Dir: from})
		for i := half * damageMail / 2; i < (half+1)*damageMail/2; i++ {
			keep(t, f, "user0", mailText("user0", i))
			if err := f.commits.flush(); err != nil {
				t.Fatal(err)
			}
		}
		if half == 0 {
			finished(t, f)
			finished(t, opened(t, OfflineOptions{Dir: from}))
		}
	}
	copyQuiet(t, dir, from)
	return dir
}

// survivors is how many messages a store has, -1 if it is refused. What is there must be the first ones, whole.
func survivors(t testing.TB, dir, what string) int {
	t.Helper()
	f, err := OpenOffline(OfflineOptions{Dir: dir})
	if err != nil {
		if said := err.Error(); strings.Contains(said, "\n") || !strings.Contains(said, dir) || !strings.HasSuffix(said, offlineLoss) {
			t.Errorf("%s: got %s", what, said)
		}
		return -1
	}
	defer finished(t, f)
	got := mail(t, f, "user0")
	for i, m := range got {
		if !bytes.Equal(m.Raw, mailText("user0", i)) {
			t.Fatalf("%s: message %d is %.40q", what, i, m.Raw)
		}
	}
	return len(got)
}

// TestOfflineDamage turns a bit, or takes the rest, at many places of each file. Either the store is refused, or all messages are
// there, but for the last of a write-ahead file, which may be taken for one that was being written.
func TestOfflineDamage(t *testing.T) {
	places := 12
	if testing.Short() {
		places = 4
	}
	source := mailed(t)
	dir := filepath.Join(t.TempDir(), "queues")
	refused := 0
	for _, kind := range []string{"*.sst", "*.mem", "MANIFEST", "KEYREGISTRY", "*.vlog"} {
		files, _ := filepath.Glob(filepath.Join(source, kind))
		if len(files) == 0 {
			t.Fatalf("no %s", kind)
		}
		least := damageMail
		if kind == "*.mem" {
			least--
		}
		for _, name := range files {
			b := read(t, name)
			end := len(bytes.TrimRight(b, "\x00"))
			for i := range places {
				at := (2*i + 1) * end / (2 * places) // a write-ahead file of length 0 is one that was being made
				turned := bytes.Clone(b)
				turned[at] ^= 1 << (i % 8)
				for what, now := range map[string][]byte{"a bit is turned": turned, "it is cut": b[:at]} {
					what = fmt.Sprintf("%s: %s at %d of %d", filepath.Base(name), what, at, end)
					if err := errors.Join(os.RemoveAll(dir), copySparse(dir, source)); err != nil {
						t.Fatal(err)
					}
					overwrite(t, filepath.Join(dir, filepath.Base(name)), now)
					switch n := survivors(t, dir, what); {
					case n < 0:
						refused++
					case n < least:
						t.Errorf("%s: %d messages of %d", what, n, damageMail)
					}
				}
			}
		}
	}
	if refused < places {
		t.Errorf("only %d refused", refused)
	}
	if n := survivors(t, source, "as it was"); n != damageMail {
		t.Errorf("%d messages without damage", n)
	}
}

// TestOfflineTorn: a transaction of many long values, of which a kill has left the begin, or a power cut some sectors, is taken for
// what it is, not for damage.
func TestOfflineTorn(t *testing.T) {
	from, dir := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "queues")
	f := opened(t, OfflineOptions{Dir: from})
	for i := range 3 {
		keep(t, f, "user0", mailText("user0", i))
		if err := f.commits.flush(); err != nil {
			t.Fatal(err)
		}
	}
	keep(t, f, "user0", bytes.Repeat([]byte("<body/>"), 60<<10))
	if err := f.commits.flush(); err != nil {
		t.Fatal(err)
	}
	copyQuiet(t, dir, from)
	file, ends := memory(t, dir)
	whole, err := judged(file)
	begin, end := ends[len(ends)-2], ends[len(ends)-1]
	if err != nil || end-begin < 400<<10 {
		t.Fatalf("%v: the last transaction has %d bytes", err, end-begin)
	}
	check := func(what string, at int, b []byte) {
		t.Helper()
		if got, err := judged(b); err != nil || got.first != whole.first || got.last != whole.last-1 {
			t.Errorf("%s at %d: got %v %v", what, at, got, err)
		}
	}
	for at := begin + 1; at < end; at += 4999 {
		b := bytes.Clone(file)
		clear(b[at:end])
		check("killed", at, b)
	}
	for at := (begin/512 + 1) * 512; at+512 < end; at += 16 * 512 {
		b := bytes.Clone(file)
		clear(b[at : at+512])
		check("sector not written", at, b)
	}
	for at := begin + 100; at < end; at += 4999 {
		file[at] ^= 4
		if got, err := judged(file); err == nil {
			t.Errorf("bit at %d: got %v", at, got)
		}
		file[at] ^= 4
	}
}

// TestOfflineMissing: a store without one of its files is refused.
func TestOfflineMissing(t *testing.T) {
	source := mailed(t)
	files, _ := filepath.Glob(filepath.Join(source, "*"))
	if !slices.ContainsFunc(files, func(f string) bool { return filepath.Ext(f) == ".sst" }) {
		t.Fatalf("no table in %v", files)
	}
	for _, name := range files {
		kind := filepath.Ext(name)
		if kind != ".sst" && filepath.Base(name) != "MANIFEST" {
			continue
		}
		dir := filepath.Join(t.TempDir(), "queues")
		if err := copySparse(dir, source); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, filepath.Base(name))); err != nil {
			t.Fatal(err)
		}
		if n := survivors(t, dir, filepath.Base(name)); n >= 0 {
			t.Errorf("without %s it opens with %d messages", filepath.Base(name), n)
		}
	}
}
