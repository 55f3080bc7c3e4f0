package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	sst "github.com/dgraph-io/badger/v4/table"
)

const (
	listHead = 8 // bytes of a MANIFEST before its first change
	listMost = 64 << 20
)

// list is what a MANIFEST says of the tables by their numbers: true if it is one of the database's, false
// if it was removed. A number that is missing was never told, or forgotten when Badger wrote the list anew.
type list map[uint64]bool

// checkList compares the tables with the list of them. Badger takes a list that is cut short for one whose
// last change was not written, and deletes each table that it does not name. That is right for three kinds
// of table: one that the list calls removed; one that a compaction was writing, and what is in it is in
// tables which the list names; one to which a write-ahead file was being moved, which is there still. Any
// other is known by a timestamp that is higher than all of the list and not in a write-ahead file: the
// list lost its name. logs tells whether there are write-ahead files or value logs.
func checkList(dir string, tables []string, spans []span, logs bool) error {
	l, err := readList(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		if len(tables) > 0 || logs {
			return fmt.Errorf("%s: %w: it is missing", badger.ManifestFilename, errDamaged)
		}
		return nil // a new database
	}
	if err != nil {
		return fmt.Errorf("%s: %w", badger.ManifestFilename, err)
	}
	there := map[uint64]bool{}
	var named, loose []string
	for _, f := range tables {
		id, ok := sst.ParseFileID(f)
		if !ok {
			continue // Badger does not look at it either
		}
		there[id] = true
		switch is, told := l[id]; {
		case is:
			named = append(named, f)
		case !told:
			loose = append(loose, f)
		}
	}
	for id, is := range l {
		if is && !there[id] {
			return fmt.Errorf("%s: %w: it is missing", sst.IDToFilename(id), errDamaged)
		}
	}
	newest, err := checkTables(named)
	if err != nil {
		return err
	}
	return checkLoose(loose, newest, spans)
}

// checkTables checks tables, and gives the highest timestamp of them.
func checkTables(files []string) (newest uint64, err error) {
	for _, f := range files {
		v, err := tableVersion(f)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", filepath.Base(f), err)
		}
		newest = max(newest, v)
	}
	return newest, nil
}

// checkLoose finds the table that the list has lost. One that is not whole was being written.
func checkLoose(files []string, newest uint64, spans []span) error {
	for _, f := range files {
		v, err := tableVersion(f)
		if errors.Is(err, errDamaged) {
			continue
		}
		if err != nil {
			return err
		}
		kept := v <= newest
		for _, s := range spans {
			kept = kept || s.has(v)
		}
		if !kept {
			return fmt.Errorf("%s: %w: it does not name %s, which has later records", badger.ManifestFilename, errDamaged, filepath.Base(f))
		}
	}
	return nil
}

// readList reads a MANIFEST as Badger does (v4, manifest.go): after the head, changes of tables that belong
// together as u32 length, u32 CRC-32C, message. A last one that is not whole was being written, or was cut.
func readList(name string) (list, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > listMost || info.Size() < listHead {
		return nil, fmt.Errorf("%w: it has %d bytes", errDamaged, info.Size())
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	l := list{}
	size := uint64(len(b))
	for b = b[listHead:]; len(b) >= 8; {
		n, sum := uint64(binary.BigEndian.Uint32(b)), binary.BigEndian.Uint32(b[4:])
		b = b[8:]
		if n > uint64(len(b)) && n <= size {
			break
		}
		if n > size || crc32.Checksum(b[:n], castagnoli) != sum {
			return nil, fmt.Errorf("%w: a checksum is wrong", errDamaged)
		}
		var wrong error
		err := protoFields(b[:n], func(_, _ uint64, change []byte) { wrong = errors.Join(wrong, l.apply(change)) })
		if err := errors.Join(err, wrong); err != nil {
			return nil, err
		}
		b = b[n:]
	}
	return l, nil
}

// apply notes one change: field 1 is the number of the table, field 2 is 1 if it was removed.
func (l list) apply(change []byte) error {
	var id, removed uint64
	err := protoFields(change, func(field, number uint64, _ []byte) {
		switch field {
		case 1:
			id = number
		case 2:
			removed = number
		}
	})
	l[id] = removed == 0
	return err
}
