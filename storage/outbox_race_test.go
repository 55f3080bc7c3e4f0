package storage

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// TestOutboxRace: many put, replace, read and delete at once, in segments so small that all are emptied and moved; each sees its own
// target as it left it, and what is there at the end is there after an open.
func TestOutboxRace(t *testing.T) {
	dir := t.TempDir()
	q, err := openQueues(QueuesOptions{Dir: dir}, space, outboxKnobs{segment: 4000})
	if err != nil {
		t.Fatal(err)
	}
	o := q.Outbox()
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			target, has := fmt.Sprintf("node%d", g), map[uint64][]byte{}
			for i := range 400 {
				n := rand.Uint64N(12)
				switch value := bytes.Repeat([]byte{byte(i)}, rand.IntN(1500)); i % 4 {
				case 0, 1:
					if err := o.Put(target, n, bytes.Clone(value), nil); err != nil {
						t.Error(err)
					}
					has[n] = value
				case 2:
					o.Delete(target, n)
					delete(has, n)
				}
				n = rand.Uint64N(12)
				got, err := o.Get(target, n)
				if want, is := has[n]; is != (err == nil) || !bytes.Equal(got, want) || !is && !errors.Is(err, ErrNoBlock) {
					t.Errorf("%s %d: %d bytes, %v; want %d", target, n, len(got), err, len(want))
				}
			}
		})
	}
	wg.Go(func() {
		for range 50 {
			_ = o.Stats()
			if err := errors.Join(o.Flush(), o.Walk(func(string, uint64, int, []byte) error { return nil })); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	want := fmt.Sprint(blocks(t, o))
	shut(t, q)
	q = queues(t, QueuesOptions{Dir: dir})
	if got := fmt.Sprint(blocks(t, q.Outbox())); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	shut(t, q)
}

// TestOutboxTidy: the room of what is deleted comes back, whatever the order: most of each segment, and all of those in which nothing is left.
func TestOutboxTidy(t *testing.T) {
	dir := t.TempDir()
	q, err := openQueues(QueuesOptions{Dir: dir}, space, outboxKnobs{segment: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	o := q.Outbox()
	const targets, each, size = 10, 20, 50_000
	for n := range uint64(each) {
		for i := range targets {
			if err := o.Put(fmt.Sprint(i), n, make([]byte, size), nil); err != nil {
				t.Fatal(err)
			}
			if err := o.Flush(); err != nil { // each is a group of its own: the segments stay small
				t.Fatal(err)
			}
		}
	}
	before := o.Stats().Files
	for n := range uint64(each) {
		for i := range targets - 3 {
			o.Delete(fmt.Sprint(i), n)
		}
	}
	for range targets * each { // each moves one segment at most
		if err := o.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if st := o.Stats(); before < targets*each*size || st.Bytes != 3*each*size || st.Files > 2*st.Bytes {
		t.Errorf("%d bytes of files, then %+v", before, st)
	}
	for n := range uint64(each) {
		for i := range targets {
			o.Delete(fmt.Sprint(i), n)
		}
	}
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	if st := o.Stats(); st.Files > 1<<20 {
		t.Errorf("empty: %+v", st)
	}
	shut(t, q)
}
