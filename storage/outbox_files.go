package storage

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// segment is one file of the outbox. Only the committer, and the load before it, change its fields.
type segment struct {
	id     uint64 // set once
	size   int64
	live   int64     // bytes of the records that are alive
	blocks []*block  // that were written to it, in order; some may be dead
	gone   bool      // it is no more
	stuck  bool      // it has a block that cannot be read: it stays as it is
	marked time.Time // when something in it was last deleted
}

// outboxKnobs are what tests turn to bring about in a small outbox what else takes a large one.
type outboxKnobs struct {
	segment int64                // bytes with which a segment is full
	rest    time.Duration        // a segment in which something was deleted later than that is left to become empty by itself
	syncs   func(*os.File) error // nil: as the system does
}

func defaultOutboxKnobs() outboxKnobs { return outboxKnobs{segment: segmentSize, rest: time.Second} }

// sync waits until what was written to a file is on disk.
func (k outboxKnobs) sync(f *os.File) error {
	if k.syncs != nil {
		return k.syncs(f)
	}
	return f.Sync()
}

// segments are the files, owned by the committer.
type segments struct {
	dir   string      // set once
	knobs outboxKnobs // set once
	last  uint64      // the highest id given
	all   []*segment
	bytes int64 // of all

	cur  *segment // that is written to; nil: the next write begins one
	file *os.File // of cur

	marks   []*block // to be counted and marked as dead
	dead    []*block // to be marked
	touched map[*segment]*os.File
	removed bool // a file, and the directory was not synced since
	resting bool // a segment is mostly dead, and not left alone for long enough

	wrote []spot // of the entries of the last write
}

// entry is a block that is to be written with its value.
type entry struct {
	b     *block
	value []byte
}

// write appends entries to the current segment, as one group, and has aside sync it. After an error all is as before.
func (s *segments) write(entries []entry, aside func(sync func() error) error) error {
	fresh := s.cur == nil
	if fresh {
		if err := s.begin(); err != nil {
			return err
		}
	}
	size, err := s.append(entries)
	if err == nil {
		f := s.file
		err = aside(func() error {
			err := s.knobs.sync(f)
			if err == nil && fresh {
				err = syncDir(s.dir)
			}
			return err
		})
	}
	if err != nil {
		if undo := s.undo(fresh); undo != nil {
			return fmt.Errorf("undo a write: %w (%s)", undo, err.Error())
		}
		return err
	}
	s.bytes += size - s.cur.size
	s.cur.size = size
	for i, e := range entries {
		s.wrote[i].seg = s.cur
		s.cur.live += s.wrote[i].length()
		s.cur.blocks = append(s.cur.blocks, e.b)
	}
	if size >= s.knobs.segment {
		err = s.file.Close() // all is synced
		s.cur, s.file = nil, nil
	}
	return err
}

// begin makes the next segment, in memory and as a file with a head.
func (s *segments) begin() error {
	s.last++
	f, err := os.OpenFile(segmentName(s.dir, s.last), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	s.cur, s.file = &segment{id: s.last}, f
	s.all = append(s.all, s.cur)
	return nil
}

// append writes entries behind what the current segment has, and gives its size then.
func (s *segments) append(entries []entry) (size int64, err error) {
	from := s.cur.size
	w := bufio.NewWriterSize(io.NewOffsetWriter(s.file, from), 1<<16)
	if from == 0 {
		from = segmentHead
		_, _ = w.Write(segmentMagic) // Flush gives the error
	}
	s.wrote = s.wrote[:0]
	at := from
	var head []byte
	for _, e := range entries {
		r := blockRecord{target: []byte(e.b.target), size: len(e.value), number: e.b.number, seq: e.b.seq, group: uint32(from), sum: sumOf(e.value)}
		s.wrote = append(s.wrote, spot{at: at, target: e.b.target, number: e.b.number, size: len(e.value), seq: e.b.seq})
		head = appendRecord(head[:0], r)
		_, _ = w.Write(head)
		_, _ = w.Write(e.value)
		at += r.length()
	}
	return at, w.Flush()
}

// undo takes back what a write that failed may have left. It needs no room.
func (s *segments) undo(fresh bool) error {
	if !fresh {
		return s.file.Truncate(s.cur.size)
	}
	err := errors.Join(s.file.Close(), os.Remove(s.file.Name()))
	s.all = s.all[:len(s.all)-1]
	s.cur, s.file = nil, nil
	return err
}

// mark takes the dead out of the counts, removes the files in which all are dead, and marks the others.
func (s *segments) mark() error {
	now := time.Now()
	for _, b := range s.marks {
		b.seg.live -= b.spot().length()
		b.seg.marked = now
	}
	s.dead = append(s.dead, s.marks...)
	for _, b := range s.marks {
		if g := b.seg; g.live == 0 && !g.gone && (g != s.cur || g.size >= s.knobs.segment/4) {
			if err := s.remove(g); err != nil {
				return err
			}
		}
	}
	clear(s.marks)
	s.marks = s.marks[:0]
	n := 0
	var err error
	for ; n < len(s.dead) && err == nil; n++ {
		if b := s.dead[n]; !b.seg.gone {
			err = s.markOne(b)
		}
	}
	if err != nil {
		n-- // the one that failed comes again
	}
	s.dead = append(s.dead[:0], s.dead[n:]...)
	if isNoSpace(err) { // of a file system that writes nothing in place
		return nil
	}
	return err
}

func (s *segments) markOne(b *block) (err error) {
	f := s.touched[b.seg]
	if f == nil { // a handle of its own also for the current one, which may be closed before the sync
		if f, err = os.OpenFile(segmentName(s.dir, b.seg.id), os.O_WRONLY, 0); err != nil {
			return err
		}
		s.touched[b.seg] = f
	}
	_, err = f.WriteAt([]byte{stateDead}, b.at)
	return err
}

// remove takes a segment out of the directory.
func (s *segments) remove(g *segment) error {
	if g == s.cur {
		s.close()
	}
	if f := s.touched[g]; f != nil {
		_ = f.Close() // what was written to it does not matter any more
		delete(s.touched, g)
	}
	for i := range s.all {
		if s.all[i] == g {
			s.all = append(s.all[:i], s.all[i+1:]...)
			break
		}
	}
	s.bytes -= g.size
	g.gone, g.blocks, s.removed = true, nil, true
	return os.Remove(segmentName(s.dir, g.id))
}

// unsynced reports whether marks wait for syncMarks.
func (s *segments) unsynced() bool { return len(s.touched) > 0 || s.removed || len(s.dead) > 0 }

// syncMarks sees that what was marked and removed stays so after a power cut.
func (s *segments) syncMarks(aside func(sync func() error) error) error {
	touched, removed := s.touched, s.removed
	s.touched, s.removed = map[*segment]*os.File{}, false
	return aside(func() (err error) {
		for _, f := range touched {
			err = errors.Join(err, s.knobs.sync(f), f.Close())
		}
		if removed {
			err = errors.Join(err, syncDir(s.dir))
		}
		return err
	})
}

// close closes the file that is written to.
func (s *segments) close() {
	if s.file != nil {
		_ = s.file.Close() // all is synced
	}
	s.cur, s.file = nil, nil
}

// syncDir sees that the names of a directory stay after a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (p spot) length() int64 { return int64(blockHead + len(p.target) + p.size) }

// read gives the value of a stored block.
func (o *Outbox) read(p spot) ([]byte, error) {
	f, err := os.Open(segmentName(o.dir, p.seg.id))
	if err != nil {
		return nil, err
	}
	b := make([]byte, p.length())
	_, err = f.ReadAt(b, p.at)
	_ = f.Close() // it was read only
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	r, ok := parseRecord(b)
	value := b[blockHead+len(p.target):]
	if !ok || string(r.target) != p.target || r.number != p.number || r.seq != p.seq || r.size != p.size || r.sum != sumOf(value) {
		return nil, fmt.Errorf("%w at byte %d of segment %x", errDamaged, p.at, p.seg.id)
	}
	return value, nil
}
