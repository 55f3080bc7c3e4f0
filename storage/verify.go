package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// errDamaged is what is told of a database that Badger would open in spite of damage, or panic over.
var errDamaged = errors.New("a table is damaged")

// footerMost is more than the longest checksum in the footer of a table.
const footerMost = 64

// checkTables looks at the ends of a database's tables, which hold the place of their index: Badger
// trusts these, and with wrong ones panics in a goroutine of its own. All else has a checksum.
func checkTables(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := checkTable(f); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(f), err)
		}
	}
	return nil
}

// checkTable checks one footer: index, u32 its length, checksum, u32 its length.
func checkTable(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	sum, err := lengthAt(f, size-4)
	if err != nil || sum > footerMost {
		return errDamaged
	}
	end := size - 4 - int64(sum) - 4
	index, err := lengthAt(f, end)
	if err != nil || int64(index) > end {
		return errDamaged
	}
	return nil
}

func lengthAt(f *os.File, at int64) (uint32, error) {
	var b [4]byte
	if at < 0 {
		return 0, errDamaged
	}
	_, err := f.ReadAt(b[:], at)
	return binary.BigEndian.Uint32(b[:]), err
}
