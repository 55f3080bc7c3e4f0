//go:build linux || darwin

package storage

import (
	"os"
	"syscall"
)

// lockDir takes the lock that Badger takes on a directory, until unlock, which must come before
// badger.Open: a lock is the opener's, not the process's.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // it was not ours
		if err == syscall.EWOULDBLOCK {
			return nil, errInUse
		}
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}
