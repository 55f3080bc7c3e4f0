package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// openOutbox opens the outbox in a directory that is this process's alone, and reads the head of every record.
func openOutbox(dir string, opt QueuesOptions, gauge *roomGauge, k outboxKnobs) (*Outbox, error) {
	o := &Outbox{dir: dir, opt: opt, room: gauge, targets: map[string]map[uint64]*block{}}
	o.SetTotal(opt.OutboxTotal)
	o.commits = newOutboxCommitter(o, k)
	l := &outboxLoader{o: o, files: &o.commits.files}
	if err := l.load(); err != nil {
		return nil, o.explain(err)
	}
	inner := gauge.headroom
	gauge.headroom = func() int64 { return inner() + segmentSize } // what tidy writes before it removes
	gauge.look()
	o.commits.start()
	o.commits.nudge() // what is dead, or mostly so
	return o, nil
}

// outboxLoader brings the blocks of before into memory.
type outboxLoader struct {
	o     *Outbox
	files *segments
	seg   *segment // that is read
	file  *os.File // of it
	last  bool     // it is the last one
	near  []byte   // a part of it
	from  int64    // where that begins
}

func (l *outboxLoader) load() error {
	if err := os.MkdirAll(l.o.dir, 0o700); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(l.o.dir)); err != nil { // which may be new, too
		return err
	}
	names, err := filepath.Glob(filepath.Join(l.o.dir, "*"+segmentExt))
	if err != nil {
		return err
	}
	var ids []uint64
	for _, name := range names {
		id, ok := segmentID(name)
		if !ok {
			return fmt.Errorf("%w: %s is none of its files", errDamaged, filepath.Base(name))
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for i, id := range ids {
		l.last = i == len(ids)-1
		if err := l.segment(id); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(segmentName(l.o.dir, id)), err)
		}
		l.files.last = id
	}
	l.o.files.Store(l.files.bytes)
	return nil
}

// segment reads the heads of one file. Of the last one what a kill has left of the last group is cut off.
func (l *outboxLoader) segment(id uint64) error {
	f, err := os.OpenFile(segmentName(l.o.dir, id), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close() // what was written is synced
	info, err := f.Stat()
	if err != nil {
		return err
	}
	l.seg, l.file, l.near, l.from = &segment{id: id}, f, nil, 0
	size, err := l.records(info.Size())
	if err != nil {
		return err
	}
	if size < info.Size() {
		if err := errors.Join(f.Truncate(size), f.Sync()); err != nil {
			return err
		}
	}
	l.seg.size = size
	l.files.bytes += size
	l.files.all = append(l.files.all, l.seg)
	if l.seg.live == 0 {
		return l.files.remove(l.seg)
	}
	return nil
}

// records gives the size of what is whole.
func (l *outboxLoader) records(size int64) (whole int64, err error) {
	head, err := l.peek(0, segmentHead)
	if err != nil {
		return 0, err
	}
	if !bytes.Equal(head, segmentMagic) {
		return 0, l.torn(0, size)
	}
	at := int64(segmentHead)
	for at < size {
		r, ok, err := l.record(at, size)
		if err != nil {
			return 0, err
		}
		if !ok {
			return at, l.torn(at, size)
		}
		l.note(r, at)
		at += r.length()
	}
	return at, nil
}

// record reads one head; of the last segment it looks at the value, too.
func (l *outboxLoader) record(at, size int64) (r blockRecord, ok bool, err error) {
	b, err := l.peek(at, blockHead+maxTarget)
	if err != nil {
		return r, false, err
	}
	r, ok = parseRecord(b)
	if !ok || at+r.length() > size {
		return r, false, nil
	}
	if !l.last {
		return r, true, nil
	}
	value := make([]byte, r.size)
	if _, err := l.file.ReadAt(value, at+int64(blockHead+len(r.target))); err != nil {
		return r, false, err
	}
	return r, sumOf(value) == r.sum, nil
}

// peek gives at most n bytes of the file from a place, less at its end. They are valid until the next call.
func (l *outboxLoader) peek(at int64, n int) ([]byte, error) {
	const window = 4 << 10
	if at < l.from || at+int64(n) > l.from+int64(len(l.near)) {
		if l.near == nil {
			l.near = make([]byte, window)
		}
		got, err := l.file.ReadAt(l.near[:window], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		l.near, l.from = l.near[:got], at
	}
	off := int(at - l.from)
	return l.near[off:min(off+n, len(l.near))], nil
}

// torn reports damage, unless what is not whole at a place can be a torn write: in the last segment, with no later group behind it.
func (l *outboxLoader) torn(at, size int64) error {
	lost := fmt.Errorf("%w at byte %d", errDamaged, at)
	if !l.last {
		return lost
	}
	rest := make([]byte, size-at)
	if _, err := l.file.ReadAt(rest, at); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if beyond(rest, at) {
		return fmt.Errorf("%w: whole groups follow", lost)
	}
	return nil
}

// note brings a block into memory. Of two of one name the later counts; the other one is marked as dead when the committer starts.
func (l *outboxLoader) note(r blockRecord, at int64) {
	o := l.o
	o.seq = max(o.seq, r.seq)
	if !r.alive {
		return
	}
	target := string(r.target)
	byNumber := o.targets[target]
	if byNumber == nil {
		byNumber = map[uint64]*block{}
		o.targets[target] = byNumber
	}
	b := &block{target: target, number: r.number, size: r.size, seq: r.seq, stage: blockStored, seg: l.seg, at: at}
	l.seg.live += r.length()
	l.seg.blocks = append(l.seg.blocks, b)
	older := byNumber[r.number]
	if older != nil && older.seq >= b.seq { // equal: a copy by tidy, and the one that it was to replace is as good
		b, older = older, b
	}
	byNumber[r.number] = b
	if older != nil {
		older.dead = true
		o.marks = append(o.marks, older)
		o.count(-int64(older.size))
		o.blocks--
	}
	o.count(int64(b.size))
	o.blocks++
}
