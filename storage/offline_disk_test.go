package storage

import (
	"bytes"
	"fmt"
	"testing"
)

// TestOfflineWrites: parts are on disk before the record that names them, and as long as it is.
func TestOfflineWrites(t *testing.T) {
	raw := bytes.Repeat([]byte("0123456789abcde"), 2*partMost/15+1)
	put := &change{w: &work{bare: "a"}, number: 5, size: len(raw), value: appendMessage(9, raw)}
	gone := &change{w: put.w, number: 5, size: len(raw)}
	var wrote, deleted []int
	var got []byte
	for i := range parts(len(raw)) {
		key, value := put.write(nil, i)
		k, err := parseMessageKey(key)
		if err != nil || k.number != 5 || string(k.bare) != "a" {
			t.Fatalf("key %q: %v", key, err)
		}
		if wrote = append(wrote, k.part); k.part > 0 {
			got = append(got, value...)
		} else if _, size, first, err := parseMessage(value); err != nil || size != len(raw) || !bytes.Equal(append(first, got...), raw) {
			t.Errorf("the record has %d of %d bytes: %v", len(first), size, err)
		}
		key, value = gone.write(nil, i)
		k, _ = parseMessageKey(key)
		if deleted = append(deleted, k.part); value != nil {
			t.Error("a delete has a value")
		}
	}
	if fmt.Sprint(wrote, deleted) != "[1 2 0] [0 1 2]" {
		t.Errorf("got %v and %v", wrote, deleted)
	}
}

// TestOfflineGroups: a transaction has as many writes and bytes as Badger takes, and a long message may be in several.
func TestOfflineGroups(t *testing.T) {
	w := &work{bare: "alice"}
	long := make([]byte, 20*partMost)
	c := &offlineCommitter{backlog: []*change{
		{w: w, number: 1, size: 2500 * partMost},
		{w: w, number: 2, size: len(long), value: appendMessage(1, long)},
		{w: w, number: 3, size: 1, value: appendMessage(1, []byte("x"))},
	}}
	var writes, done []int
	for len(c.backlog) > 0 {
		c.collect()
		writes, done = append(writes, len(c.group.writes)), append(done, len(c.group.done))
		if c.group.bytes > groupBytes+partMost+messageHead+100 {
			t.Errorf("a group of %d bytes", c.group.bytes)
		}
	}
	if fmt.Sprint(writes, done) != "[1024 1024 460 8 5] [0 0 1 0 2]" {
		t.Errorf("groups of %v writes, in which %v changes end", writes, done)
	}
}
