package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
)

// errDamaged is what is told of a database that Badger would open in spite of damage, or panic over.
var errDamaged = errors.New("it is damaged")

// verify looks for what Badger takes for an end, silently, or panics over: damaged write-ahead files, a
// list of tables cut short, tables with a wrong end. It changes nothing but for removing, if all is well,
// files of length 0, which hold nothing: a kill between the making and the first use of a file leaves one,
// and Badger would refuse it for ever. It needs the directory's lock.
func verify(dir string) error {
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return err
	}
	var logs, empty []string
	for _, kind := range []string{"*.mem", "*.vlog"} {
		full, none, err := bySize(filepath.Join(dir, kind))
		if err != nil {
			return err
		}
		logs, empty = append(logs, full...), append(empty, none...)
	}
	var spans []span
	for _, f := range logs {
		if filepath.Ext(f) != ".mem" {
			continue
		}
		s, err := checkWAL(f)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(f), err)
		}
		spans = append(spans, s)
	}
	if err := checkList(dir, tables, spans, len(logs) > 0); err != nil {
		return err
	}
	for _, f := range empty {
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	return nil
}

// bySize gives the files of a pattern, those of length 0 apart.
func bySize(pattern string) (full, empty []string, err error) {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			return nil, nil, err
		}
		if info.Size() == 0 {
			empty = append(empty, f)
		} else {
			full = append(full, f)
		}
	}
	return full, empty, nil
}

// tableFile is one open table file.
type tableFile struct {
	file *os.File
	// of its footer: index, u32 its length, checksum, u32 its length
	index    int64 // where the index begins
	indexLen int
	sum      []byte // a protobuf message: the algorithm, and the sum
}

// footerMost is more than the longest checksum in the footer of a table.
const footerMost = 64

// openTable checks the end of a table, which holds the place of its index: Badger trusts it, and with a
// wrong one panics in a goroutine of its own. All else has a checksum.
func openTable(name string) (*tableFile, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	t := &tableFile{file: f}
	if err := t.footer(); err != nil {
		_ = f.Close() // only read
		return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return t, nil
}

func (t *tableFile) footer() error {
	size, err := t.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	n, err := t.length(size - 4)
	if err != nil {
		return err
	}
	if n > footerMost {
		return errDamaged
	}
	end := size - 4 - n - 4
	index, err := t.length(end)
	if err != nil {
		return err
	}
	if index > end {
		return errDamaged
	}
	t.index, t.indexLen, t.sum = end-index, int(index), make([]byte, n)
	_, err = t.file.ReadAt(t.sum, end+4)
	return err
}

func (t *tableFile) length(at int64) (int64, error) {
	var b [4]byte
	if at < 0 {
		return 0, errDamaged
	}
	_, err := t.file.ReadAt(b[:], at)
	return int64(binary.BigEndian.Uint32(b[:])), err
}

// version gives the highest timestamp of a table's records, from its index.
func (t *tableFile) version() (uint64, error) {
	var sum pb.Checksum
	err := message(t.sum, func(field, number uint64, _ []byte) {
		switch field {
		case 1:
			sum.Algo = pb.Checksum_Algorithm(number)
		case 2:
			sum.Sum = number
		}
	})
	index := make([]byte, t.indexLen)
	if err == nil {
		_, err = t.file.ReadAt(index, t.index)
	}
	if err != nil {
		return 0, err
	}
	if sum.Algo > pb.Checksum_XXHash64 || len(index) == 0 || y.VerifyChecksum(index, &sum) != nil {
		return 0, errDamaged
	}
	return fb.GetRootAsTableIndex(index, 0).MaxVersion(), nil
}

// message reads a protobuf message: each field's number, and its value if that is a number or bytes.
func message(b []byte, each func(field, number uint64, bytes []byte)) error {
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
