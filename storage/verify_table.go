package storage

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
)

// A table of Badger (v4, table/table.go, not compressed): blocks, index, u32 its length, the checksum of the
// index, u32 its length. A block ends in its own checksum, u32 its length.
const checksumMost = 64 // more bytes than the longest checksum, a protobuf message

// tableFile is one open table.
type tableFile struct {
	file  *os.File
	at    int64  // where the index begins
	index []byte // checked
}

// tableVersion checks a whole table and gives the highest timestamp of its records. Badger has the same
// checksums, but trusts the numbers in a block, an end or an empty index before it looks at them, and with
// wrong ones panics in a goroutine of its own.
func tableVersion(name string) (uint64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	t := &tableFile{file: f}
	if err := t.footer(); err != nil {
		return 0, err
	}
	if err := t.blocks(); err != nil {
		return 0, err
	}
	return fb.GetRootAsTableIndex(t.index, 0).MaxVersion(), nil
}

// footer finds, reads and checks the index.
func (t *tableFile) footer() error {
	size, err := t.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	n, err := t.length(size - 4)
	if err != nil {
		return err
	}
	if n > checksumMost {
		return errDamaged
	}
	end := size - 4 - n - 4
	length, err := t.length(end)
	if err != nil {
		return err
	}
	if length > end || length == 0 {
		return errDamaged
	}
	t.at, t.index = end-length, make([]byte, length)
	sum := make([]byte, n)
	if _, err := t.file.ReadAt(sum, end+4); err != nil {
		return err
	}
	if _, err := t.file.ReadAt(t.index, t.at); err != nil {
		return err
	}
	return check(t.index, sum)
}

func (t *tableFile) length(at int64) (int64, error) {
	var b [4]byte
	if at < 0 {
		return 0, errDamaged
	}
	_, err := t.file.ReadAt(b[:], at)
	return int64(binary.BigEndian.Uint32(b[:])), err
}

// blocks checks all blocks, which follow one another from the begin of the file.
func (t *tableFile) blocks() error {
	in := bufio.NewReaderSize(io.NewSectionReader(t.file, 0, t.at), walBuffer)
	index := fb.GetRootAsTableIndex(t.index, 0)
	var buf []byte
	var at int64
	for i := range index.OffsetsLength() {
		var place fb.BlockOffset
		index.Offsets(&place, i)
		size := int64(place.Len())
		if int64(place.Offset()) != at || size < 4 || size > t.at-at {
			return errDamaged
		}
		if int64(cap(buf)) < size {
			buf = make([]byte, size)
		}
		if _, err := io.ReadFull(in, buf[:size]); err != nil {
			return err
		}
		if err := checkBlock(buf[:size]); err != nil {
			return fmt.Errorf("%w at byte %d", err, at)
		}
		at += size
	}
	return nil
}

func checkBlock(b []byte) error {
	end := len(b) - 4
	sum := int64(binary.BigEndian.Uint32(b[end:]))
	if sum > checksumMost || sum > int64(end) {
		return errDamaged
	}
	return check(b[:end-int(sum)], b[end-int(sum):end])
}

// check compares bytes with their checksum: field 1 of the message is the algorithm, field 2 the sum.
func check(b, message []byte) error {
	var sum pb.Checksum
	err := protoFields(message, func(field, number uint64, _ []byte) {
		switch field {
		case 1:
			sum.Algo = pb.Checksum_Algorithm(number)
		case 2:
			sum.Sum = number
		}
	})
	if err != nil || sum.Algo < 0 || sum.Algo > pb.Checksum_XXHash64 || y.VerifyChecksum(b, &sum) != nil {
		return errDamaged
	}
	return nil
}

// protoFields reads a protobuf message: each field's number, and its value if that is a number or bytes.
func protoFields(b []byte, each func(field, number uint64, bytes []byte)) error {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return errDamaged
		}
		v, m := binary.Uvarint(b[n:])
		if m <= 0 {
			return errDamaged
		}
		b = b[n+m:]
		switch kind := tag & 7; {
		case kind == 0:
			each(tag>>3, v, nil)
		case kind == 2 && v <= uint64(len(b)):
			each(tag>>3, 0, b[:v])
			b = b[v:]
		default:
			return errDamaged
		}
	}
	return nil
}
