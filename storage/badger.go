package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/sirupsen/logrus"
)

// reserve is the free disk space below which nothing is written: a write-ahead file, two tables of a
// flush and of a compaction fit in it.
var reserve = uint64(96 << 20)

var (
	errNoSpace = errors.New("no space left on device")
	errInUse   = errors.New("another process has the directory open")
)

// The memory in which a database collects what becomes a table, and how many of them may wait for that. Each has a
// write-ahead file of its size.
const (
	memtable  = 16 << 20
	memtables = 3
)

// badgerOptions are for small values, one writer, and an idle server that stays small.
func badgerOptions(dir string, log *badgerLog) badger.Options {
	o := badger.DefaultOptions(dir)
	if dir == Memory {
		o = badger.DefaultOptions("").WithInMemory(true)
	}
	o = o.WithSyncWrites(true).
		WithDetectConflicts(false). // one writer
		WithMemTableSize(memtable).
		WithNumMemtables(memtables).
		WithBlockCacheSize(8 << 20). // sessions are read at open and by ConsistencyCheck only, messages once
		WithIndexCacheSize(8 << 20).
		WithValueThreshold(2 * partMost). // values live in the tables: no value log to check and to collect
		WithValueLogFileSize(16 << 20).
		WithCompression(options.None).
		WithNumCompactors(2).
		// A compactor that joins new tables of level 0 drops the markers of deletions, although what they delete may be on its way to
		// the base level at the hands of the other one, and comes back then. The one needs four tables, the other takes five of eight:
		// so they never run together. Writers wait at eight.
		WithNumLevelZeroTables(5).
		WithNumLevelZeroTablesStall(8).
		WithMetricsEnabled(false).
		WithChecksumVerificationMode(options.OnTableRead) // of tables that it makes; verify has read the others
	if dir == Memory {
		o = o.WithMemTableSize(4 << 20) // taken at once, and nothing is gained by flushing seldom
	}
	return o.WithLogger(log)
}

// openBadger opens a database directory, for this process alone. Its log is quiet until that is done, and
// for ever if it is not: the error that comes back is the one line to tell, once it is explained.
func openBadger(dir string, l *badgerLog) (*badger.DB, error) {
	l.quiet.Store(true)
	if dir != Memory {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		if err := verifyLocked(dir); err != nil {
			return nil, err
		}
	}
	db, err := badger.Open(badgerOptions(dir, l))
	if err == nil && l.ignored.Load() {
		_ = db.Close() // nothing was written
		err = fmt.Errorf("a table: %w", errDamaged)
	}
	if err != nil {
		return nil, err
	}
	l.quiet.Store(false)
	return db, nil
}

// verifyLocked keeps other processes from the files that verify looks at.
func verifyLocked(dir string) error {
	unlock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer unlock()
	return verify(dir)
}

// badgerLog passes Badger's log on; what it calls information is of interest to developers only.
type badgerLog struct {
	to      *logrus.Entry // nil: nowhere
	ignored atomic.Bool   // Badger goes on without a table that has a wrong checksum; we do not
	quiet   atomic.Bool   // the caller is told of the failure: the lines around it are for developers
}

func (l *badgerLog) Errorf(f string, v ...any) {
	if strings.HasPrefix(f, "Ignoring table") {
		l.ignored.Store(true)
	}
	l.tell(logrus.ErrorLevel, f, v)
}

func (l *badgerLog) Warningf(f string, v ...any) { l.tell(logrus.WarnLevel, f, v) }
func (l *badgerLog) Infof(f string, v ...any)    { l.log(logrus.DebugLevel, f, v) }
func (l *badgerLog) Debugf(f string, v ...any)   { l.log(logrus.TraceLevel, f, v) }

// tell logs what an operator should see, unless the failure behind it is told by another line: the two
// errors by their begin are those of a write, which Badger returns as well.
func (l *badgerLog) tell(at logrus.Level, f string, v []any) {
	isReturned := strings.HasPrefix(f, "Got error: ") || strings.HasPrefix(f, "writeRequests: ")
	if l.quiet.Load() || isReturned {
		at = logrus.DebugLevel
	}
	l.log(at, f, v)
}

func (l *badgerLog) log(at logrus.Level, f string, v []any) {
	if l.to != nil && l.to.Logger.IsLevelEnabled(at) {
		l.to.Logf(at, strings.TrimSpace(f), v...)
	}
}

// explain makes one line of a database error that says what mends it. Badger turns most causes into
// text, so text is what there is to go by. loss says what starting again without the database means.
func explain(dir, loss string, err error) error {
	// The line names the directory itself: once is enough.
	text := strings.ReplaceAll(err.Error(), filepath.Clean(dir)+string(filepath.Separator), "")
	text = strings.Join(strings.Fields(text), " ")
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(text, p) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.Is(err, errSchema):
		return fmt.Errorf("open %s: %w", dir, err)
	case errors.Is(err, errInUse) || has("Another process is using this Badger database"):
		return fmt.Errorf("open %s: %s has it open: stop that one, or give this one a directory of its own", dir, lockHolder(dir))
	case has(syscall.ENOSPC.Error(), syscall.EDQUOT.Error(), syscall.EFBIG.Error()):
		return fmt.Errorf("write %s: no space (%s): free some, or move the directory, and start again", dir, text)
	case errors.Is(err, fs.ErrPermission) || has(syscall.EACCES.Error(), syscall.EROFS.Error()):
		return fmt.Errorf("open %s: no permission to write there (user id %d): change its owner or mode", dir, os.Getuid())
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("open %s: it is not a directory: name another, or move that file away", dir)
	case has(syscall.EIO.Error()):
		return fmt.Errorf("use %s: %s: look at the disk's health", dir, cut(text))
	case has(syscall.EMFILE.Error(), syscall.ENFILE.Error()):
		return fmt.Errorf("use %s: %s: raise the limit of open files", dir, cut(text))
	case errors.Is(err, badger.ErrBlockedWrites) || errors.Is(err, badger.ErrDBClosed):
		return fmt.Errorf("write %s: %w", dir, ErrClosed)
	}
	return fmt.Errorf("read %s: the database is damaged (%s): move the directory away and start again; %s", dir, cut(text), loss)
}

// cut keeps an error's text to the first part of a stack trace or a dump.
func cut(text string) string {
	const most = 200
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

// lockHolder names the process that has the database open, from the file that Badger keeps for this.
func lockHolder(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "LOCK"))
	pid := strings.TrimSpace(string(b))
	if err != nil || pid == "" {
		return "another process"
	}
	name, err := os.ReadFile(filepath.Join("/proc", pid, "comm"))
	if err != nil {
		return "process " + pid
	}
	return fmt.Sprintf("process %s (%s)", pid, strings.TrimSpace(string(name)))
}
