package storage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// queues opens both stores; shut closes them.
func queues(t testing.TB, o QueuesOptions) *Queues {
	t.Helper()
	q, err := OpenQueues(o)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func shut(t testing.TB, q *Queues) {
	t.Helper()
	if err := q.Offline().ConsistencyCheck(); err != nil {
		t.Error(err)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}

// blocks gives all that is in the outbox, in the order of Walk: target, number, size, begin.
func blocks(t testing.TB, o *Outbox) (all []string) {
	t.Helper()
	err := o.Walk(func(target string, number uint64, size int, head []byte) error {
		all = append(all, fmt.Sprintf("%s %d %d %.8s", target, number, size, head))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func hand(t testing.TB, o *Outbox, target string, number uint64, value string) {
	t.Helper()
	if err := o.Put(target, number, []byte(value), nil); err != nil {
		t.Fatal(err)
	}
}

// TestOutbox: what is put is there at once and after the next open, in order; what is put again or deleted is not.
func TestOutbox(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queues")
	q := queues(t, QueuesOptions{Dir: dir})
	o := q.Outbox()
	long := string(bytes.Repeat([]byte("long "), partMost))
	hand(t, o, "b.example", 7, "seven")
	hand(t, o, "b.example", 300, long)
	hand(t, o, "a.example", 9, "nine")
	hand(t, o, "a.example", 10, "ten")
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	hand(t, o, "b.example", 7, "another")
	o.Delete("a.example", 9)
	o.Delete("a.example", 9)
	hand(t, o, "c.example", 1, "gone")
	o.Delete("c.example", 1)
	want := fmt.Sprint([]string{"a.example 10 3 ten", "b.example 7 7 another", "b.example 300 327680 long lon"})
	for range 2 {
		if got := fmt.Sprint(blocks(t, o)); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		if got, err := o.Get("b.example", 300); err != nil || string(got) != long {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
		if _, err := o.Get("a.example", 9); !errors.Is(err, ErrNoBlock) {
			t.Fatal(err)
		}
		if st := o.Stats(); st.Blocks != 3 || st.Bytes != int64(10+len(long)) {
			t.Fatalf("got %+v", st)
		}
		shut(t, q)
		if err := o.Put("a.example", 1, nil, nil); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
		q = queues(t, QueuesOptions{Dir: dir})
		o = q.Outbox()
	}
	shut(t, q)
}

// TestOutboxMarksEarly: what is deleted while the disk is slow is gone for who is killed then. The open after the kill is that of
// a copy of the files.
func TestOutboxMarksEarly(t *testing.T) {
	dir, syncs, release := t.TempDir(), make(chan struct{}, 1), make(chan struct{})
	slow := false // changed before what is synced slowly is put
	knobs := defaultOutboxKnobs()
	knobs.syncs = func(*os.File) error {
		if slow {
			syncs <- struct{}{}
			<-release
		}
		return nil
	}
	q, err := openQueues(QueuesOptions{Dir: dir}, space, knobs)
	if err != nil {
		t.Fatal(err)
	}
	o := q.Outbox()
	hand(t, o, "a.example", 1, "proved")
	hand(t, o, "a.example", 2, "not proved")
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	slow = true
	hand(t, o, "b.example", 3, "more")
	<-syncs
	o.Delete("a.example", 1)
	for deadline := time.Now().Add(10 * time.Second); ; {
		twin := t.TempDir()
		if err := os.CopyFS(twin, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		left := queues(t, QueuesOptions{Dir: twin})
		found := blocks(t, left.Outbox())
		shut(t, left)
		if len(found) == 2 && found[0] == "a.example 2 10 not prov" { // what was written and not synced is there too, after a mere kill
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("found %v", found)
		}
	}
	close(release)
	go func() {
		for range syncs { // ends with the test
		}
	}()
	shut(t, q)
	close(syncs)
	q = queues(t, QueuesOptions{Dir: dir})
	if got := blocks(t, q.Outbox()); len(got) != 2 {
		t.Errorf("%v are left", got)
	}
	shut(t, q)
}
