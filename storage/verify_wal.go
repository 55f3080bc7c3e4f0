package storage

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"strconv"
)

// A write-ahead file of Badger (v4, memtable.go, not encrypted): key id and base of the IV, then records,
// then zeros up to a size that it has from the begin. A record is meta u8, user meta u8, uvarints of the
// key's length, the value's length and the expiry, key, value, CRC-32C of all that. A key ends in
// ^timestamp u64. The records of a transaction have metaTxn and one timestamp, and a mark ends them.
const (
	walHead    = 20
	metaPlain  = 0x03 // deleted, value elsewhere
	metaTxn    = 0x40
	metaEnd    = 0x80
	endKey     = "!badger!txn"
	endBefore  = 5       // bytes of an end mark before its key
	recordHead = 22      // the most before a record's key
	maxKey     = 1 << 16 // Badger reads a longer one as the end
	walBuffer  = 1 << 17 // holds any record: a value is partMost and a head at most
	groupMost  = 4 << 20 // bytes of a transaction in the file: Badger refuses those of 15 % of a memtable
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// span is the first and the last timestamp of the whole transactions in a write-ahead file, 0 if none.
type span struct{ first, last uint64 }

func (s span) has(ts uint64) bool { return s.first <= ts && ts <= s.last }

// wal walks one write-ahead file.
type wal struct {
	file io.ReaderAt
	size int64
	in   *bufio.Reader
	at   int64  // where in reads next
	open uint64 // timestamp of the transaction whose records come, 0 between two
	span
}

// checkWAL walks a write-ahead file as Badger will, which takes the first record that is not whole for the
// end, and cuts the file there. That is right after a torn write only. Each transaction is synced before
// the next is written, all of it into zeros; so what a kill or a power cut leaves of the last one is what
// was to be written, or zeros, and nothing follows it. All else is damage.
//
// Not told from a torn write, since they look the same: damage to the last transaction that turned to
// zeros its whole tail, whole bytes of its end mark, or the rest of a disk sector (a write that the disk
// claimed and lost), or that left no whole record of it to be found; and a file cut, or zeros, from the
// end of one transaction on, which Badger makes itself. What such damage takes is told by nothing.
func checkWAL(name string) (span, error) {
	f, err := os.Open(name)
	if err != nil {
		return span{}, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return span{}, err
	}
	return walk(f, size)
}

func walk(file io.ReaderAt, size int64) (span, error) {
	if size < walHead {
		return span{}, fmt.Errorf("%w: it is cut short", errDamaged)
	}
	w := &wal{file: file, size: size, at: walHead}
	w.in = bufio.NewReaderSize(io.NewSectionReader(file, walHead, size-walHead), walBuffer)
	for {
		r, ok, err := w.peek()
		if err != nil {
			return span{}, err
		}
		if !ok || !w.take(r) {
			return w.span, w.judge()
		}
	}
}

// walRecord is one record of the file; its parts are valid until the next is read.
type walRecord struct {
	meta       byte
	key, value []byte
	size       int
}

// peek gives the next record, if there is a whole one.
func (w *wal) peek() (r walRecord, ok bool, err error) {
	b, err := w.in.Peek(recordHead)
	if err != nil && !errors.Is(err, io.EOF) {
		return r, false, err
	}
	head, key, value, ok := lengths(b)
	if !ok || key == 0 {
		return r, false, nil
	}
	size := head + key + value + crc32.Size
	b, err = w.in.Peek(size)
	if errors.Is(err, io.EOF) || errors.Is(err, bufio.ErrBufferFull) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	end := size - crc32.Size
	sum := crc32.Checksum(b[:end], castagnoli)
	return walRecord{b[0], b[head : head+key], b[head+key : end], size}, sum == binary.BigEndian.Uint32(b[end:]), nil
}

// lengths reads the begin of a record: the bytes before its key, and those of key and value.
func lengths(b []byte) (head, key, value int, ok bool) {
	if len(b) < endBefore {
		return 0, 0, 0, false
	}
	head = 2
	var n [3]uint64
	for i := range n {
		v, size := binary.Uvarint(b[head:])
		if size <= 0 {
			return 0, 0, 0, false
		}
		n[i], head = v, head+size
	}
	return head, int(n[0]), int(n[1]), n[0] <= maxKey && n[1] <= math.MaxInt32
}

// take goes past a record, if it is in its place.
func (w *wal) take(r walRecord) bool {
	ts := timestamp(r.key)
	switch {
	case r.meta&metaTxn != 0:
		if w.open != 0 && w.open != ts {
			return false
		}
		w.open = ts
	case r.meta&metaEnd != 0:
		said, err := strconv.ParseUint(string(r.value), 10, 64)
		if err != nil || said != w.open {
			return false
		}
		if w.first == 0 {
			w.first = w.open
		}
		w.last, w.open = w.open, 0
	case w.open != 0:
		return false
	}
	_, _ = w.in.Discard(r.size) // it was peeked at
	w.at += int64(r.size)
	return true
}

// timestamp is that of a key; Badger takes a short key for one with 0.
func timestamp(key []byte) uint64 {
	if len(key) <= 8 {
		return 0
	}
	return math.MaxUint64 - binary.BigEndian.Uint64(key[len(key)-8:])
}

// appendEnd appends the end mark of a transaction, which is known to the byte.
func appendEnd(b []byte, ts uint64) []byte {
	said := strconv.FormatUint(ts, 10)
	from := len(b)
	b = append(b, metaEnd, 0, byte(len(endKey)+8), byte(len(said)), 0)
	b = append(b, endKey...)
	b = binary.BigEndian.AppendUint64(b, math.MaxUint64-ts)
	b = append(b, said...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

// judge decides whether what is at the place where the walk ended can be a torn write.
func (w *wal) judge() error {
	lost := func(why string) error { return fmt.Errorf("%w at byte %d: %s", errDamaged, w.at, why) }
	behind, err := w.look()
	switch {
	case err != nil:
		return err
	case behind.ends > 1 || behind.ends == 1 && w.open != 0 && behind.ts != w.open:
		return lost("whole transactions follow")
	case behind.ends == 1:
		hole, err := w.hole(behind.end)
		if err == nil && !hole {
			err = lost("the rest of its transaction follows")
		}
		return err
	case behind.data > w.at+groupMost:
		return lost("more follows than one transaction")
	}
	head := make([]byte, 64)
	n, err := w.file.ReadAt(head, w.at)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if n == 0 && w.open != 0 {
		return lost("the file ends within a transaction")
	}
	if n > 0 && !w.torn(head[:n]) {
		return lost("it is no part of a record")
	}
	return nil
}

// torn reports whether b can be the begin of a record of which some was not written.
func (w *wal) torn(b []byte) bool {
	if w.open != 0 {
		end := appendEnd(nil, w.open)
		partial := func(i int) bool { return i >= len(b) || b[i] == 0 || b[i] == end[i] }
		fits := len(b) >= len(end)
		for i := range end {
			fits = fits && partial(i)
		}
		if fits {
			return true
		}
	}
	if b[0]&^(metaPlain|metaTxn) != 0 || len(b) > 1 && b[1] != 0 {
		return false
	}
	head, key, value, ok := lengths(b)
	return ok && w.at+int64(head+key+value+crc32.Size) <= w.size
}

// behind is what is in a file behind the place where the walk ended.
type behind struct {
	ends int    // end marks
	ts   uint64 // of the first
	end  int64  // where that begins
	data int64  // the end of the last block that is not zeros
}

var zeros [walBuffer]byte

// look searches the rest of the file for end marks. Blocks overlap by more than a mark.
func (w *wal) look() (behind, error) {
	const overlap = 128
	var found behind
	seen := w.at // marks that begin before it have been counted
	block := make([]byte, walBuffer)
	for at := w.at; at < w.size; at += walBuffer - overlap {
		n, err := w.file.ReadAt(block, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return found, err
		}
		b := block[:n]
		if bytes.Equal(b, zeros[:n]) {
			continue
		}
		found.data = at + int64(n)
		for off := 0; ; {
			i := bytes.Index(b[off:], []byte(endKey))
			if i < 0 {
				break
			}
			from := off + i - endBefore
			off += i + 1
			if ts, ok := endAt(b, from); ok && at+int64(from) >= seen {
				if found.ends == 0 {
					found.ts, found.end = ts, at+int64(from)
				}
				found.ends++
				seen = at + int64(off)
			}
		}
	}
	return found, nil
}

// endAt reads the end mark at an offset of b, if there is a whole one.
func endAt(b []byte, from int) (ts uint64, ok bool) {
	key := from + endBefore
	if from < 0 || key+len(endKey)+8 > len(b) {
		return 0, false
	}
	ts = timestamp(b[key : key+len(endKey)+8])
	return ts, bytes.HasPrefix(b[from:], appendEnd(nil, ts))
}

// hole reports whether a part of a disk sector was not written between the place where the walk ended and
// an end mark: zeros that reach to the sector's end, more of them than a record has in a row. The sector
// of the mark has all that is before it.
func (w *wal) hole(end int64) (bool, error) {
	const sector, least = 512, 16
	b := make([]byte, sector)
	for at := w.at / sector * sector; at+sector <= end; at += sector {
		n, err := w.file.ReadAt(b, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		from := int(max(w.at-at, 0))
		if n == sector && bytes.Equal(b[max(from, sector-least):], zeros[:min(sector-from, least)]) {
			return true, nil
		}
	}
	return false, nil
}
