package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// errDamaged is what is told of a database that Badger would open in spite of damage, or panic over.
var errDamaged = errors.New("damaged")

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
