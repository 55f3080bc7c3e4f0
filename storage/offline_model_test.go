package storage

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// offModel is what the offline store must say, kept in the plainest way: each user's messages in order.
type offModel struct {
	t     *rapid.T
	root  string // of the directories, one after each crash
	dir   string
	total int64
	clock int64 // microseconds
	f     *Offline
	has   map[string][]Stored
	last  map[string]uint64 // the highest number given while something was stored

	// while the committer is held
	held  chan struct{} // closed by the committer when it waits
	freed chan struct{} // closed to let it go on; nil while it is not held
	asked atomic.Int64
	saved map[string][]Stored // what is on disk
}

var offUsers = []string{"a@im.example", "b@im.example", "ab@im.example", "held.example"}

func (m *offModel) open() {
	now := func() time.Time { return time.UnixMicro(m.clock) }
	f, err := openOffline(OfflineOptions{Dir: m.dir, Total: m.total, Now: now}, m.space)
	if err != nil {
		m.t.Fatal(err)
	}
	m.f = f
	n := 0
	for _, all := range m.has {
		n += len(all)
	}
	if got := f.Stats(); got.Loaded != n {
		m.t.Fatalf("loaded %d messages, want %d", got.Loaded, n)
	}
}

func (m *offModel) close() {
	m.release(nil)
	if err := m.f.ConsistencyCheck(); err != nil {
		m.t.Fatal(err)
	}
	if err := m.f.Close(); err != nil {
		m.t.Fatal(err)
	}
}

func (m *offModel) reopen(t *rapid.T) {
	rare(t)
	m.close()
	m.forget()
	m.open()
}

// forget: of a user without messages no number outlives the process.
func (m *offModel) forget() {
	m.last = map[string]uint64{}
	for u, all := range m.has {
		m.last[u] = all[len(all)-1].Number
	}
}

// space is asked by Put, when nothing waits for the disk, and by the committer before and after each group: there it is held.
func (m *offModel) space(string) (free, size uint64, ok bool) {
	if m.asked.Add(1) == 3 {
		freed := m.freed
		close(m.held)
		<-freed
	}
	return 0, 0, false
}

// hold keeps the committer from the disk after the commit of a message.
func (m *offModel) hold(t *rapid.T) {
	if m.freed != nil {
		t.Skip("held")
	}
	if err := m.f.commits.flush(); err != nil {
		t.Fatal(err)
	}
	m.held, m.freed = make(chan struct{}), make(chan struct{})
	m.asked.Store(0)
	m.store(t, "held.example", nil, Keep{})
	<-m.held
	m.saved = map[string][]Stored{}
	for u, all := range m.has {
		m.saved[u] = slices.Clone(all)
	}
}

func (m *offModel) release(*rapid.T) {
	if m.freed != nil {
		m.asked.Add(3) // if a failure comes between
		close(m.freed)
		m.freed = nil
	}
}

// crash goes on with a copy of the files, as a kill leaves them: what was not committed is lost, nothing else.
func (m *offModel) crash(t *rapid.T) {
	rare(t)
	if m.freed == nil {
		m.hold(t)
	}
	next := m.dir + "x"
	copyQuiet(t, next, m.dir)
	m.close()
	m.dir, m.has = next, m.saved
	m.forget()
	m.open()
}

// rare keeps what is slow from being most of the test.
func rare(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "rare") > 0 {
		t.Skip("too often")
	}
}

// copyQuiet copies the files of a database that nobody writes to, when Badger has moved what it found at its open
// to a table: a copy is not made at one moment, as a kill is.
func copyQuiet(t interface{ Fatal(...any) }, to, from string) {
	for range 1 << 16 {
		before, _ := filepath.Glob(filepath.Join(from, "*.*"))
		logs, _ := filepath.Glob(filepath.Join(from, "*.mem"))
		if len(logs) != 1 {
			runtime.Gosched()
			continue
		}
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		err := copySparse(to, from)
		if after, _ := filepath.Glob(filepath.Join(from, "*.*")); err == nil && slices.Equal(before, after) {
			return
		}
	}
	t.Fatal("it is never quiet")
}

// copySparse copies the files of a directory, but for the lock, with their zeros at the end left out.
func copySparse(to, from string) error {
	files, err := filepath.Glob(filepath.Join(from, "*"))
	if err != nil {
		return err
	}
	err = os.MkdirAll(to, 0o700)
	for _, name := range files {
		if filepath.Base(name) == "LOCK" {
			continue
		}
		b, rerr := os.ReadFile(name)
		copied := filepath.Join(to, filepath.Base(name))
		err = errors.Join(err, rerr, os.WriteFile(copied, bytes.TrimRight(b, "\x00"), 0o600), os.Truncate(copied, int64(len(b))))
	}
	return err
}

func (m *offModel) bytes(u string) (n int64) {
	for _, s := range m.has[u] {
		n += int64(len(s.Raw))
	}
	return n
}

func (m *offModel) sum() (n int64) {
	for u := range m.has {
		n += m.bytes(u)
	}
	return n
}

var offSizes = []int{0, 1, 40, 40, 300, 300, 300, partMost - 1, partMost, partMost + 1, 3 * partMost}

func (m *offModel) put(t *rapid.T) {
	u := rapid.SampledFrom(offUsers).Draw(t, "user")
	m.clock += rapid.Int64Range(-3, 5).Draw(t, "microseconds")
	k := Keep{Messages: rapid.IntRange(0, 12).Draw(t, "messages"), Bytes: rapid.SampledFrom([]int64{0, 0, 500, partMost}).Draw(t, "bytes")}
	raw := bytes.Repeat([]byte{byte(rapid.IntRange('a', 'z').Draw(t, "byte"))}, rapid.SampledFrom(offSizes).Draw(t, "size"))
	m.store(t, u, raw, k)
}

func (m *offModel) store(t *rapid.T, u string, raw []byte, k Keep) {
	var want error
	switch {
	case k.Messages > 0 && len(m.has[u]) >= k.Messages, k.Bytes > 0 && m.bytes(u)+int64(len(raw)) > k.Bytes:
		want = ErrMailboxFull
	case m.total > 0 && m.sum()+int64(len(raw)) > m.total:
		want = ErrStoreFull
	}
	origin, given := NodeID(rapid.Uint32().Draw(t, "origin")), bytes.Clone(raw)
	if m.freed == nil { // nobody counts who asks for space
		if err := m.f.Fits([]byte(u), len(given), k); !errors.Is(err, want) {
			t.Fatalf("Fits = %v, want %v", err, want)
		}
	}
	n, err := m.f.Put([]byte(u), origin, given, k)
	clear(given)
	if !errors.Is(err, want) {
		t.Fatalf("Put = %v, want %v", err, want)
	}
	if err != nil {
		return
	}
	if n <= m.last[u] || n < uint64(m.clock) {
		t.Fatalf("number %d after %d at %d", n, m.last[u], m.clock)
	}
	m.last[u] = n
	m.has[u] = append(m.has[u], Stored{n, origin, raw})
}

// delete deletes some that are there, in any order, some that are not, and some twice.
func (m *offModel) delete(t *rapid.T) {
	u := rapid.SampledFrom(offUsers).Draw(t, "user")
	var numbers []uint64
	for range rapid.IntRange(1, 4).Draw(t, "count") {
		n := m.last[u] + uint64(rapid.IntRange(0, 4).Draw(t, "above"))
		if all := m.has[u]; len(all) > 0 && rapid.IntRange(0, 5).Draw(t, "known") > 0 {
			n = rapid.SampledFrom(all).Draw(t, "message").Number
		}
		numbers = append(numbers, n)
	}
	m.f.Delete([]byte(u), numbers)
	m.has[u] = slices.DeleteFunc(slices.Clone(m.has[u]), func(s Stored) bool { return slices.Contains(numbers, s.Number) })
	if len(m.has[u]) == 0 {
		delete(m.has, u)
	}
}

func (m *offModel) read(t *rapid.T) {
	u := rapid.SampledFrom(offUsers).Draw(t, "user")
	after := uint64(0)
	if all := m.has[u]; len(all) > 0 && rapid.Bool().Draw(t, "from begin") {
		after = rapid.SampledFrom(all).Draw(t, "after").Number - uint64(rapid.IntRange(0, 1).Draw(t, "less"))
	}
	most := rapid.IntRange(1, 15).Draw(t, "most")
	var want []Stored
	for _, s := range m.has[u] {
		if s.Number > after && len(want) < most {
			want = append(want, s)
		}
	}
	got, err := m.f.Read([]byte(u), after, most)
	if err != nil || !slices.EqualFunc(got, want, sameStored) {
		t.Fatalf("Read(%s, %d, %d) = %s %v, want %s", u, after, most, shortStored(got), err, shortStored(want))
	}
	for _, s := range got {
		clear(s.Raw) // it is the caller's
	}
}

func sameStored(a, b Stored) bool {
	return a.Number == b.Number && a.Origin == b.Origin && bytes.Equal(a.Raw, b.Raw)
}

func shortStored(all []Stored) (s string) {
	for _, m := range all {
		s += fmt.Sprintf("%d:%d*%.1q ", m.Number, len(m.Raw), m.Raw)
	}
	return s
}

func (m *offModel) aged(t *rapid.T) {
	limit := time.UnixMicro(m.clock - rapid.Int64Range(-2, 20).Draw(t, "age"))
	var want []string
	for u, all := range m.has {
		if u != "held.example" && all[0].Accepted().Before(limit) {
			want = append(want, u)
		}
	}
	got := m.f.Aged(func(domain []byte) time.Time {
		if string(domain) == "im.example" {
			return limit
		}
		return time.Time{}
	}, rapid.IntRange(3, 5).Draw(t, "most"))
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("Aged = %v, want %v", got, want)
	}
}

func (m *offModel) check(t *rapid.T) {
	count := 0
	for _, u := range offUsers {
		if got := m.f.Has([]byte(u)); got != (len(m.has[u]) > 0) {
			t.Fatalf("Has(%s) = %t with %d messages", u, got, len(m.has[u]))
		}
		if got := m.f.Count([]byte(u)); got != len(m.has[u]) {
			t.Fatalf("Count(%s) = %d of %d messages", u, got, len(m.has[u]))
		}
		count += len(m.has[u])
	}
	st := m.f.Stats()
	if users := len(slices.Collect(maps.Keys(m.has))); st.Users != users || st.Messages != count || st.Bytes != m.sum() {
		t.Fatalf("Stats = %+v, want %d users, %d messages, %d bytes", st, users, count, m.sum())
	}
}

// TestOfflineModel holds the store against the model, with stops and kills in between.
func TestOfflineModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root, err := os.MkdirTemp("", "queues")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(root)
		m := &offModel{t: t, root: root, dir: filepath.Join(root, "0"), clock: 1.7e15, has: map[string][]Stored{}, last: map[string]uint64{}}
		m.total = rapid.SampledFrom([]int64{0, 2000, 5 * partMost}).Draw(t, "total")
		m.asked.Store(3)
		m.open()
		defer func() { // of a failure: files and memory would run out
			m.release(nil)
			_ = m.f.Close()
		}()
		t.Repeat(map[string]func(*rapid.T){
			"put": m.put, "put more": m.put, "put again": m.put, "delete": m.delete, "delete more": m.delete, "read": m.read,
			"aged": m.aged, "reopen": m.reopen, "hold": m.hold, "release": m.release, "crash": m.crash, "": m.check,
		})
		m.release(nil)
		if err := m.f.ConsistencyCheck(); err != nil {
			t.Fatal(err)
		}
	})
}
