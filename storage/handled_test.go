package storage

import (
	"fmt"
	"testing"
)

// What was noted last for a node is there, at once and after the next open.
func TestHandled(t *testing.T) {
	dir := t.TempDir()
	open := func() *Queues {
		q, err := OpenQueues(QueuesOptions{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	shut := func(q *Queues) {
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(q *Queues, node, id string, count uint32, known bool) {
		t.Helper()
		if gotID, got, ok := q.Handled(node); gotID != id || got != count || ok != known {
			t.Errorf("%s: %q %d %v, want %q %d %v", node, gotID, got, ok, id, count, known)
		}
	}
	q := open()
	expect(q, "a", "", 0, false)
	for i := range 2*groupChanges + 5 { // more than a group
		q.SetHandled(fmt.Sprint("n", i), "x", uint32(i))
	}
	q.SetHandled("a", "id1", 7)
	q.SetHandled("a", "id2", 1<<32-1)
	q.SetHandled("empty", "", 3)
	expect(q, "a", "id2", 1<<32-1, true)
	if _, err := q.Offline().Put([]byte("u@im"), 1, []byte("<message/>"), Keep{}); err != nil {
		t.Fatal(err)
	}
	shut(q)
	q = open()
	expect(q, "a", "id2", 1<<32-1, true)
	expect(q, "empty", "", 3, true)
	expect(q, fmt.Sprint("n", 2*groupChanges+4), "x", 2*groupChanges+4, true)
	expect(q, "b", "", 0, false)
	q.SetHandled("a", "id3", 0)
	shut(q)
	q = open()
	expect(q, "a", "id3", 0, true)
	if err := q.Offline().ConsistencyCheck(); err != nil {
		t.Error(err)
	}
	if n := q.Offline().Count([]byte("u@im")); n != 1 {
		t.Errorf("%d messages", n)
	}
	shut(q)
	if _, _, ok := q.Handled("a"); ok {
		t.Error("it is closed, and gives a count")
	}
}

// What was put is said to be on disk when it is, and not before.
func TestPuts(t *testing.T) {
	f, err := OpenOffline(OfflineOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		if _, err := f.Put(fmt.Appendf(nil, "u%d@im", i%70), 1, []byte("<message/>"), Keep{}); err != nil {
			t.Fatal(err)
		}
	}
	queued, _ := f.Puts()
	if queued != 300 {
		t.Errorf("%d were queued", queued)
	}
	if err := f.commits.flush(); err != nil {
		t.Fatal(err)
	}
	if queued, kept := f.Puts(); queued != 300 || kept != 300 {
		t.Errorf("%d of %d are on disk", kept, queued)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
