package storage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// blockText is the n-th block of childBlocks.
func blockText(target string, n uint64) []byte {
	b := fmt.Appendf(nil, "%s %d.", target, n)
	return append(b, bytes.Repeat([]byte{byte('a' + n%26)}, int(n*7919%150_000))...)
}

// childBlocks puts and deletes the oldest of four targets without end, in small segments. It writes a line for what is on disk: target, the
// highest number that is, the lowest that was not deleted.
func childBlocks(dir string) {
	q, err := openQueues(QueuesOptions{Dir: dir}, space, outboxKnobs{segment: 1 << 20})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	o := q.Outbox()
	for g := range 4 {
		go func() {
			target := fmt.Sprintf("node%d", g)
			low, high, err := blockState(o, target)
			if err != nil {
				fmt.Println("error", err)
				os.Exit(1)
			}
			for {
				kept := high // is on disk; what comes now may get there later than the deletions
				for range 1 + high%9 {
					high++
					if err := o.Put(target, high, blockText(target, high), nil); err != nil {
						fmt.Println("error", err)
						os.Exit(1)
					}
				}
				if g%2 == 1 {
					for ; low+3 < kept; low++ {
						o.Delete(target, low)
					}
				}
				if o.Flush() == nil {
					fmt.Println(target, high, low)
				}
			}
		}()
	}
	select {}
}

// blockState gives the numbers of a target's blocks, which must be whole, and none missing between the others.
func blockState(o *Outbox, target string) (low, high uint64, err error) {
	for i, n := range o.numbers(target) {
		if low == 0 {
			low = n
		}
		got, err := o.Get(target, n)
		if err != nil || n != low+uint64(i) || !bytes.Equal(got, blockText(target, n)) {
			return 0, 0, fmt.Errorf("%s: after %d from %d there is %d, %d bytes: %w", target, high, low, n, len(got), err)
		}
		high = n
	}
	return max(low, 1), high, nil
}

// TestOutboxKill: what was on disk before a SIGKILL is there after it, in order and whole, what was deleted is not.
func TestOutboxKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queues")
	type state struct{ high, low uint64 }
	acked := map[string]state{}
	for round := range 4 {
		cmd, lines := child(t, dir, "blocks")
		for n := 0; lines.Scan(); n++ {
			var target string
			var s state
			if _, err := fmt.Sscan(lines.Text(), &target, &s.high, &s.low); err != nil {
				t.Fatal(lines.Text())
			}
			acked[target] = s
			if n == 100*(round+1) {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait()
		q := queues(t, QueuesOptions{Dir: dir})
		for target, want := range acked {
			low, high, err := blockState(q.Outbox(), target)
			if err != nil || high < want.high || low < want.low || want.low == 1 && low != 1 {
				t.Errorf("round %d: of %s %d to %d are there, %d to %d were on disk: %v", round, target, low, high, want.low, want.high, err)
			}
		}
		shut(t, q)
	}
	if len(acked) != 4 || acked["node0"].high < 50 || acked["node1"].low < 20 {
		t.Errorf("too little was done: %v", acked)
	}
}

// childFillBlocks puts until the disk is full, deletes half, and puts as much again; it writes the counts, whether the disk ever had
// less than the reserve, and the error of Close.
func childFillBlocks(dir string) {
	q, err := OpenQueues(QueuesOptions{Dir: dir, OnFail: func(err error) { fmt.Println("failed", err) }})
	if err != nil {
		fmt.Println("open", err)
		os.Exit(1)
	}
	o := q.Outbox()
	n, low := uint64(0), uint64(0)
	fill := func() {
		for {
			err := o.Put("node", n, bytes.Repeat([]byte{byte(n)}, partMost), nil)
			if errors.Is(err, ErrNoSpace) && o.Flush() == nil && errors.Is(o.Put("node", n, make([]byte, partMost), nil), ErrNoSpace) {
				return
			}
			if err == nil {
				n++
			} else if !errors.Is(err, ErrNoSpace) {
				fmt.Println("put", err)
				os.Exit(1)
			}
		}
	}
	fill()
	first := n
	for ; low < first/2; low++ {
		o.Delete("node", low)
	}
	if err := o.Flush(); err != nil {
		fmt.Println("flush", err)
	}
	fill()
	free, _, _ := space(dir)
	fmt.Println(first, n-first, low, free >= reserve)
	fmt.Println(q.Close())
	os.Exit(0)
}

// TestOutboxFullDisk: before the disk is full blocks are refused; what was taken is there, and the room of what is deleted comes back.
func TestOutboxFullDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=400m"); err != nil {
		t.Skipf("needs the right to mount a small file system: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	_, lines := child(t, dir, "fill with blocks")
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
	}
	if len(said) != 2 || said[1] != "<nil>" {
		t.Fatalf("got %q", said)
	}
	var first, second, low int
	if _, err := fmt.Sscanf(said[0], "%d %d %d true", &first, &second, &low); err != nil || first < 1000 || second < low-300 {
		t.Fatalf("got %q", said)
	}
	q := queues(t, QueuesOptions{Dir: dir})
	if got := q.Outbox().numbers("node"); len(got) != first+second-low || got[0] != uint64(low) {
		t.Errorf("%d blocks of %s", len(got), said[0])
	}
	shut(t, q)
}

// now syncs at once.
func now(sync func() error) error { return sync() }

// TestSegmentsNoSpace: a write that finds the disk full leaves nothing behind, whether it would have begun a segment or not.
func TestSegmentsNoSpace(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs the right to mount a small file system: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	s := &segments{dir: dir, knobs: defaultOutboxKnobs(), touched: map[*segment]*os.File{}}
	b := &block{target: "node", number: 1, seq: 1}
	for _, want := range []int{0, 1} {
		if err := s.write([]entry{{b, []byte("x")}, {b, make([]byte, 2<<20)}}, now); !isNoSpace(err) {
			t.Fatalf("got %v", err)
		}
		if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != want || len(s.all) != want {
			t.Errorf("files %v, segments %v", files, s.all)
		}
		if err := s.write([]entry{{b, []byte("y")}}, now); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(s.file.Name()); err != nil || info.Size() != s.cur.size || s.bytes != s.cur.size {
			t.Errorf("the file has %d bytes, %v; want %d", info.Size(), err, s.cur.size)
		}
	}
	s.close()
}

// TestOutboxTorn: of a group that was cut anywhere all before it is there.
func TestOutboxTorn(t *testing.T) {
	dir := t.TempDir()
	q := queues(t, QueuesOptions{Dir: dir})
	o := q.Outbox()
	hand(t, o, "node", 1, "one")
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	before := o.Stats().Files
	hand(t, o, "node", 2, strings.Repeat("two", 50))
	shut(t, q)
	name := segmentName(filepath.Join(dir, "outbox"), 1)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) {
		want := 0
		if cut >= int(before) {
			want = 1
		}
		for _, tail := range []string{"", strings.Repeat("\x00", len(whole)-cut)} {
			if cut < int(before) && cut > 0 && tail != "" {
				continue // zeros in what was synced: no kill leaves them
			}
			room := &roomGauge{dir: dir, space: space, headroom: func() int64 { return 0 }}
			overwrite(t, name, append(whole[:cut:cut], tail...))
			o, err := openOutbox(filepath.Dir(name), QueuesOptions{}, room, defaultOutboxKnobs())
			if err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			if got := len(o.numbers("node")); got != want {
				t.Errorf("cut at %d: %d blocks, want %d", cut, got, want)
			}
			if err := o.close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestOutboxSequence: a kill may leave two of one name, in any order of files; the one that was put later counts, and the other one does not come
// back when that is deleted.
func TestOutboxSequence(t *testing.T) {
	for _, seqs := range [][]uint64{{3, 5}, {5, 3}, {4, 4}} {
		dir := t.TempDir()
		s := &segments{dir: dir, knobs: outboxKnobs{segment: 1}, touched: map[*segment]*os.File{}}
		for _, seq := range seqs {
			if err := s.write([]entry{{&block{target: "node", number: 1, seq: seq}, fmt.Append(nil, seq)}}, now); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{fmt.Sprintf("[node 1 1 %d]", max(seqs[0], seqs[1])), "[]"} {
			gauge := &roomGauge{dir: dir, space: space, headroom: func() int64 { return 0 }}
			o, err := openOutbox(dir, QueuesOptions{}, gauge, defaultOutboxKnobs())
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(blocks(t, o)); got != want {
				t.Errorf("%v: got %s, want %s", seqs, got, want)
			}
			o.Delete("node", 1)
			if err := o.close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestOutboxDamage: what no kill can leave is told, and changes nothing.
func TestOutboxDamage(t *testing.T) {
	for name, c := range map[string]struct {
		id    int
		spoil func(b []byte) []byte
		late  bool // it is told by Walk
	}{
		"no head":                       {1, func(b []byte) []byte { b[0]++; return b }, false},
		"a newer format":                {1, func(b []byte) []byte { b[7]++; return b }, false},
		"a number in a head":            {1, func(b []byte) []byte { b[segmentHead+10]++; return b }, false},
		"a target":                      {1, func(b []byte) []byte { b[segmentHead+blockHead]++; return b }, false},
		"cut short":                     {1, func(b []byte) []byte { return b[:len(b)-1] }, false},
		"more behind":                   {1, func(b []byte) []byte { return append(b, 0) }, false},
		"a value":                       {1, func(b []byte) []byte { b[len(b)-1]++; return b }, true},
		"a head before others, last":    {2, func(b []byte) []byte { b[segmentHead+10]++; return b }, false},
		"a value before others, last":   {2, func(b []byte) []byte { b[segmentHead+blockHead+10]++; return b }, false},
		"zeros before others, the last": {2, func(b []byte) []byte { clear(b[segmentHead : segmentHead+50]); return b }, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			q, err := openQueues(QueuesOptions{Dir: dir}, space, outboxKnobs{segment: 100, rest: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			for i, size := range []int{200, 20, 20} { // one in the first segment, two groups in the next
				hand(t, q.Outbox(), "node", uint64(i), strings.Repeat("x", size))
				if err := q.Outbox().Flush(); err != nil {
					t.Fatal(err)
				}
			}
			shut(t, q)
			file := segmentName(filepath.Join(dir, "outbox"), uint64(c.id))
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			spoiled := c.spoil(b)
			overwrite(t, file, spoiled)
			q, err = OpenQueues(QueuesOptions{Dir: dir})
			if (err == nil) != c.late {
				t.Fatalf("open: %v", err)
			}
			if err == nil {
				err = walkDamaged(t, q.Outbox())
				shut(t, q)
			}
			if err == nil || !strings.Contains(err.Error(), "the database is damaged (") || !strings.HasSuffix(err.Error(), outboxLoss) || strings.Count(err.Error(), dir) != 1 {
				t.Errorf("got %v", err)
			}
			if after, _ := os.ReadFile(file); !bytes.Equal(after, spoiled) {
				t.Error("the file was changed")
			}
		})
	}
}

// walkDamaged holds a walk to tell of the blocks behind one that is damaged.
func walkDamaged(t *testing.T, o *Outbox) error {
	sizes := ""
	err := o.Walk(func(_ string, _ uint64, size int, _ []byte) error {
		sizes += fmt.Sprint(size, " ")
		return nil
	})
	if sizes != "0 20 20 " {
		t.Errorf("of a damaged block and two whole ones it tells %s", sizes)
	}
	return err
}

// FuzzSegment: whatever is in a segment, the outbox opens or says that it is damaged; what it has after one open it has after the next.
func FuzzSegment(f *testing.F) {
	value := []byte("<message/>")
	b := appendRecord(bytes.Clone(segmentMagic), blockRecord{target: []byte("node"), number: 1, seq: 1, size: len(value), group: segmentHead, sum: sumOf(value)})
	b = append(b, value...)
	f.Add(b)
	f.Add(append(b, stateAlive, 0, 0, 4))
	f.Add(bytes.ReplaceAll(b, []byte{stateAlive}, []byte{stateDead}))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		overwrite(t, segmentName(dir, 0xa), b)
		var was []string
		for i := range 2 {
			room := &roomGauge{dir: dir, space: space, headroom: func() int64 { return 0 }}
			o, err := openOutbox(dir, QueuesOptions{}, room, defaultOutboxKnobs())
			if err != nil && i == 0 && strings.Contains(err.Error(), "damaged") {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := blocks(t, o)
			if i == 1 && strings.Join(got, "\n") != strings.Join(was, "\n") {
				t.Errorf("got %q, before %q", got, was)
			}
			was = got
			if err := o.close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestSegmentNames: each name has one number, and no other file has one.
func TestSegmentNames(t *testing.T) {
	for _, id := range []uint64{0, 1, 0xabc, 1 << 40} {
		if got, ok := segmentID(segmentName("dir", id)); !ok || got != id {
			t.Errorf("%x: got %x %t", id, got, ok)
		}
	}
	for _, name := range []string{"1.out", "00000001", "0000000A.out", "0000000g.out", "00000001.sst", strconv.Itoa(1)} {
		if id, ok := segmentID(name); ok {
			t.Errorf("%s is %x", name, id)
		}
	}
}
