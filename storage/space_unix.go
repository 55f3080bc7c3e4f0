//go:build linux || darwin

package storage

import "syscall"

// freeBytes is the space of a directory's file system that this user may still fill.
func freeBytes(dir string) (uint64, bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return uint64(st.Bavail) * uint64(st.Bsize), true
}
