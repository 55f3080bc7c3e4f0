package storage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// killed gives the files of a database as a kill leaves them, after each of n statements was acknowledged.
func killed(t testing.TB, n int) (dir string) {
	t.Helper()
	from, dir := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "sessions")
	s := open(t, from)
	l := attach(t, s, "node1.im.example")
	for i := range n {
		b := s.Begin(l.node, l.inc, l.mark)
		for j := range 3 {
			if _, _, err := b.Announce(fmt.Appendf(nil, "u%d-%d@im.example", i, j), benchRes, 0, Take); err != nil {
				t.Fatal(err)
			}
		}
		b.sync(t)
	}
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "LOCK")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// memory gives the one write-ahead file of a directory, up to some zeros behind its records, and where
// each of its transactions ends.
func memory(t testing.TB, dir string) (file []byte, ends []int) {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, "*.mem"))
	if len(names) != 1 {
		t.Fatalf("got %v", names)
	}
	file, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; ; {
		i := bytes.Index(file[at:], []byte(endKey))
		if i < 0 {
			break
		}
		ts, ok := endAt(file, at+i-endBefore)
		if !ok {
			t.Fatal("no whole end mark")
		}
		at += i - endBefore + len(appendEnd(nil, ts))
		ends = append(ends, at)
	}
	return file[:ends[len(ends)-1]+4096], ends
}

func judged(b []byte) (span, error) { return walk(bytes.NewReader(b), int64(len(b))) }

// TestFlips turns each bit of a write-ahead file. What the walk lets pass has lost nothing, but for the
// few bits that make a zero of a byte of the last end mark, as a torn write would.
func TestFlips(t *testing.T) {
	file, ends := memory(t, killed(t, 5))
	whole, err := judged(file)
	if err != nil || whole.last-whole.first+1 != uint64(len(ends)) {
		t.Fatalf("got %v %v, want %d transactions", whole, err, len(ends))
	}
	last := ends[len(ends)-1]
	mark := last - len(appendEnd(nil, whole.last))
	for i := range last * 8 {
		at, bit := i/8, byte(1)<<(i%8)
		file[at] ^= bit
		got, err := judged(file)
		same := at < walHead || at >= mark && file[at] == 0
		if err == nil && got != whole && !same || err != nil && !errors.Is(err, errDamaged) {
			t.Fatalf("bit %d of byte %d of %d: got %v %v, want %v", i%8, at, last, got, err, whole)
		}
		file[at] ^= bit
	}
}

// TestTorn leaves of the last transaction what a kill leaves, which is a begin, and what a power cut
// leaves, which is any of its sectors. Both are no damage, and take nothing but that transaction.
func TestTorn(t *testing.T) {
	file, ends := memory(t, killed(t, 5))
	whole, _ := judged(file)
	begin, end := ends[len(ends)-2], ends[len(ends)-1]
	check := func(what string, at int, b []byte) {
		t.Helper()
		if got, err := judged(b); err != nil || got.first != whole.first || got.last < whole.last-1 {
			t.Errorf("%s at %d: got %v %v", what, at, got, err)
		}
	}
	for at := begin; at < end; at++ {
		b := bytes.Clone(file)
		clear(b[at:end])
		check("killed", at, b)
	}
	for at := begin / 512 * 512; at < end; at += 512 {
		b := bytes.Clone(file)
		clear(b[max(at, begin):min(at+512, end)])
		check("sector not written", at, b)
	}
}

// TestCuts shortens a write-ahead file at each byte: only the end of a transaction can be the file's, or the
// begin of the first.
func TestCuts(t *testing.T) {
	file, ends := memory(t, killed(t, 3))
	good := map[int]bool{walHead: true}
	for _, e := range ends {
		good[e] = true
	}
	for n := range ends[len(ends)-1] {
		if _, err := judged(file[:n]); (err == nil) != good[n] || err != nil && !errors.Is(err, errDamaged) {
			t.Errorf("cut to %d bytes: got %v", n, err)
		}
	}
}

// TestWiped overwrites parts of a write-ahead file that no single write could have left so.
func TestWiped(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to int // transactions: those between lose what is told
		with     byte
		damaged  bool
	}{
		{"garbage in the middle", 1, 3, 0xa5, true},
		{"garbage to the end", 1, 5, 0xa5, true},
		{"zeros in the middle", 1, 3, 0, true},
		{"zeros to the end, as after a cut of Badger's", 1, 5, 0, false},
	} {
		file, ends := memory(t, killed(t, 5))
		for i := ends[c.from]; i < ends[c.to]; i++ {
			file[i] = c.with
		}
		if _, err := judged(file); errors.Is(err, errDamaged) != c.damaged {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}
