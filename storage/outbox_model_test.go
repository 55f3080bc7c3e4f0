package storage

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// boxKey names a block.
type boxKey struct {
	target string
	number uint64
}

// boxModel is what the outbox must say.
type boxModel struct {
	t     *rapid.T
	root  string // of the directories, one after each crash
	dir   string
	total int64
	q     *Queues
	o     *Outbox
	has   map[boxKey][]byte
	full  atomic.Bool // the disk has no room

	// while the committer is held
	held    chan struct{} // closed by the committer when it waits
	freed   chan struct{} // closed to let it go on; nil while it is not held
	asked   atomic.Int64  // who asked for space since the hold began
	at      atomic.Int64  // which of them waits
	saved   map[boxKey][]byte
	refused int

	due, done atomic.Int64 // calls of done that are to come, and came
}

var heldBlock = boxKey{"held", 1}

func (m *boxModel) open() {
	q, err := openQueues(QueuesOptions{Dir: m.dir, Disk: m.total}, m.space, outboxKnobs{segment: 3000})
	if err != nil {
		m.t.Fatal(err)
	}
	m.q, m.o = q, q.Outbox()
}

// space is asked by Put when nothing is pending, and by the committer before and after each write.
func (m *boxModel) space(string) (free, size uint64, ok bool) {
	if m.asked.Add(1) == m.at.Load() {
		freed := m.freed
		close(m.held)
		<-freed
	}
	if m.full.Load() {
		return 0, 1 << 40, true
	}
	return 1 << 40, 1 << 40, true
}

func (m *boxModel) putTo(k boxKey, value []byte) {
	more := int64(len(value) - len(m.has[k]))
	m.due.Add(1)
	err := m.o.Put(k.target, k.number, bytes.Clone(value), func(err error) {
		if err != nil && !m.full.Load() {
			panic(err)
		}
		m.done.Add(1)
	})
	if err != nil {
		m.due.Add(-1)
	}
	switch full := m.total > 0 && more > 0 && m.sum()+more > m.total; {
	case errors.Is(err, ErrNoSpace) && m.full.Load():
		m.refused++
	case full && !errors.Is(err, ErrDiskFull), !full && err != nil:
		m.t.Fatalf("Put = %v with %d bytes and %d more, of %d", err, m.sum(), more, m.total)
	case err == nil:
		m.has[k] = value
	}
}

func (m *boxModel) sum() (n int64) {
	for _, v := range m.has {
		n += int64(len(v))
	}
	return n
}

func (m *boxModel) key(t *rapid.T) boxKey {
	return boxKey{rapid.SampledFrom([]string{"a.example", "b.example", "ab.example"}).Draw(t, "target"), rapid.SampledFrom([]uint64{1, 2, 3, 255, 256, 1 << 40}).Draw(t, "number")}
}

func (m *boxModel) put(t *rapid.T) {
	size := rapid.SampledFrom([]int{0, 1, 100, 700, 700, 4000, partMost + 1}).Draw(t, "size")
	m.putTo(m.key(t), bytes.Repeat([]byte{byte(rapid.IntRange('a', 'z').Draw(t, "byte"))}, size))
}

func (m *boxModel) delete(t *rapid.T) {
	k := m.key(t)
	m.o.Delete(k.target, k.number)
	delete(m.has, k)
}

func (m *boxModel) get(t *rapid.T) {
	k := m.key(t)
	got, err := m.o.Get(k.target, k.number)
	want, is := m.has[k]
	if is && (err != nil || !bytes.Equal(got, want)) || !is && !errors.Is(err, ErrNoBlock) {
		t.Fatalf("Get(%v) = %d bytes, %v; want %d", k, len(got), err, len(want))
	}
}

func (m *boxModel) flush(t *rapid.T) {
	if m.freed != nil || m.full.Load() {
		t.Skip("it would wait")
	}
	m.flushed()
}

func (m *boxModel) flushed() {
	if err := m.o.Flush(); err != nil {
		m.t.Fatal(err)
	}
	if due, done := m.due.Load(), m.done.Load(); due != done {
		m.t.Fatalf("%d of %d calls of done", done, due)
	}
	if st := m.o.Stats(); st.Pending != 0 || st.Stalled {
		m.t.Fatalf("after a flush: %+v", st)
	}
}

// fill leaves the disk no room; what was taken before must not be lost, and comes to the disk when there is room again.
func (m *boxModel) fill(t *rapid.T) {
	if m.freed != nil {
		t.Skip("held")
	}
	m.full.Store(true)
}

func (m *boxModel) clean(t *rapid.T) {
	if m.full.Swap(false) && m.freed == nil {
		m.flushed()
		m.putTo(boxKey{"a.example", 3}, nil) // of no bytes: it fits in any total
	}
}

// hold keeps the committer from writing a block, or from noting that it did.
func (m *boxModel) hold(t *rapid.T) {
	if m.freed != nil || m.full.Load() {
		t.Skip("held")
	}
	m.flushed()
	m.saved = maps.Clone(m.has)
	m.held, m.freed = make(chan struct{}), make(chan struct{})
	m.asked.Store(0)
	m.at.Store(int64(rapid.IntRange(2, 3).Draw(t, "where")))
	m.putTo(heldBlock, nil)
	<-m.held
}

func (m *boxModel) release(*rapid.T) {
	if m.freed != nil {
		m.at.Store(-1)
		close(m.freed)
		m.freed = nil
	}
}

// crash goes on with a copy of the files, as a kill leaves them, maybe with a part of a write behind.
func (m *boxModel) crash(t *rapid.T) {
	rare(t)
	if m.full.Load() {
		t.Skip("what is marked is not known")
	}
	if m.freed == nil {
		m.hold(t)
	}
	next := m.dir + "x"
	if err := copySparse(filepath.Join(next, "outbox"), filepath.Join(m.dir, "outbox")); err != nil {
		t.Fatal(err)
	}
	if torn := rapid.IntRange(0, 300).Draw(t, "torn"); torn > 0 {
		m.tear(next, torn)
	}
	m.close()
	m.dir, m.has = next, m.saved
	m.open()
	if _, err := m.o.Get(heldBlock.target, heldBlock.number); err == nil {
		m.has[heldBlock] = nil
	}
}

// tear appends the begin of a group to the last segment.
func (m *boxModel) tear(dir string, n int) {
	files, _ := filepath.Glob(filepath.Join(dir, "outbox", "*"))
	if len(files) == 0 {
		return
	}
	last := slices.Max(files)
	info, err := os.Stat(last)
	if err != nil {
		m.t.Fatal(err)
	}
	value := bytes.Repeat([]byte("torn"), 300)
	b := append(appendRecord(nil, blockRecord{target: []byte("a.example"), number: 1, seq: 1 << 60, size: len(value), group: uint32(info.Size()), sum: sumOf(value)}), value...)
	f, err := os.OpenFile(last, os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		_, err = f.Write(b[:n])
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *boxModel) reopen(t *rapid.T) {
	rare(t)
	m.close()
	m.open()
}

func (m *boxModel) close() {
	m.release(nil)
	m.clean(nil)
	if err := m.q.Close(); err != nil {
		m.t.Fatal(err)
	}
	if due, done := m.due.Load(), m.done.Load(); due != done {
		m.t.Fatalf("%d of %d calls of done", done, due)
	}
}

func (m *boxModel) walk(t *rapid.T) {
	var got, want []string
	err := m.o.Walk(func(target string, number uint64, size int, head []byte) error {
		got = append(got, fmt.Sprintf("%s %d %d %x", target, number, size, sumOf(head)))
		return nil
	})
	keys := slices.SortedFunc(maps.Keys(m.has), func(a, b boxKey) int {
		if a.target != b.target {
			return bytes.Compare([]byte(a.target), []byte(b.target))
		}
		return int(int64(a.number) - int64(b.number))
	})
	for _, k := range keys {
		v := m.has[k]
		want = append(want, fmt.Sprintf("%s %d %d %x", k.target, k.number, len(v), sumOf(v[:min(len(v), partMost)])))
	}
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("Walk gives %v\n%q, want\n%q", err, got, want)
	}
}

func (m *boxModel) check(t *rapid.T) {
	if st := m.o.Stats(); st.Blocks != len(m.has) || st.Bytes != m.sum() {
		t.Fatalf("Stats = %+v, want %d blocks of %d bytes", st, len(m.has), m.sum())
	}
}

// TestOutboxModel holds the outbox against the model, with full disks, stops and kills in between.
func TestOutboxModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root, err := os.MkdirTemp("", "queues")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(root)
		m := &boxModel{t: t, root: root, dir: filepath.Join(root, "0"), has: map[boxKey][]byte{}}
		m.total = rapid.SampledFrom([]int64{0, 3000, 2 * partMost}).Draw(t, "total")
		m.open()
		defer func() { // of a failure: files and memory would run out
			m.release(nil)
			_ = m.q.Offline().Close()
		}()
		t.Repeat(map[string]func(*rapid.T){
			"put": m.put, "put more": m.put, "put again": m.put, "delete": m.delete, "delete more": m.delete, "get": m.get, "walk": m.walk, "flush": m.flush,
			"fill": m.fill, "clean": m.clean, "reopen": m.reopen, "hold": m.hold, "release": m.release, "crash": m.crash, "": m.check,
		})
		m.release(nil)
		m.clean(nil)
		m.flushed()
	})
}
