package storage

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// openOff opens an offline store for a test; its end is a ConsistencyCheck and a Close.
func openOff(t testing.TB, dir string) *Offline {
	t.Helper()
	return openOffWith(t, OfflineOptions{Dir: dir})
}

func openOffWith(t testing.TB, o OfflineOptions) *Offline {
	t.Helper()
	f, err := OpenOffline(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { finishOff(t, f) })
	return f
}

// finishOff checks and closes a store, unless the test has closed it.
func finishOff(t testing.TB, f *Offline) {
	t.Helper()
	if f.gate.enter() != nil {
		return
	}
	f.gate.leave()
	if err := f.ConsistencyCheck(); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// put stores a message that must be taken.
func (f *Offline) mustPut(t testing.TB, bare string, raw []byte) uint64 {
	t.Helper()
	n, err := f.Put([]byte(bare), 7, raw, Keep{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// all reads all messages of a user, a few at once.
func (f *Offline) all(t testing.TB, bare string) (got []Stored) {
	t.Helper()
	after := uint64(0)
	for {
		some, err := f.Read([]byte(bare), after, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(some) == 0 {
			return got
		}
		got = append(got, some...)
		after = some[len(some)-1].Number
	}
}

func texts(all []Stored) (s string) {
	for _, m := range all {
		s += fmt.Sprintf("%.20s ", m.Raw)
	}
	return s
}

var _ = time.Second

func TestOfflineLife(t *testing.T) {
	for _, dir := range []string{Memory, t.TempDir()} {
		f := openOff(t, dir)
		alice := []byte("alice@im.example")
		if f.Has(alice) {
			t.Error("has what nobody put")
		}
		var numbers []uint64
		for i := range 10 {
			numbers = append(numbers, f.mustPut(t, string(alice), fmt.Appendf(nil, "m%d", i)))
		}
		big := bytes.Repeat([]byte("x"), 300<<10)
		f.mustPut(t, "bob@im.example", big)
		if got := texts(f.all(t, string(alice))); got != "m0 m1 m2 m3 m4 m5 m6 m7 m8 m9 " {
			t.Errorf("read %s", got)
		}
		f.Delete(alice, numbers[:5])
		if got := texts(f.all(t, string(alice))); got != "m5 m6 m7 m8 m9 " {
			t.Errorf("read %s", got)
		}
		if dir != Memory {
			finishOff(t, f)
			f = openOff(t, dir)
		}
		if got := texts(f.all(t, string(alice))); got != "m5 m6 m7 m8 m9 " {
			t.Errorf("read %s", got)
		}
		if got := f.all(t, "bob@im.example"); len(got) != 1 || !bytes.Equal(got[0].Raw, big) || got[0].Origin != 7 {
			t.Errorf("read %.80v", got)
		}
		f.Delete(alice, numbers)
		if f.Has(alice) || !f.Has([]byte("bob@im.example")) {
			t.Error("has")
		}
		t.Log(f.Stats())
	}
}
