//go:build linux || darwin

package storage

import "syscall"

// space is what this user may still fill of a directory's file system, and the size of that, in bytes.
func space(dir string) (free, size uint64, ok bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, false
	}
	block := uint64(st.Bsize)
	return uint64(st.Bavail) * block, uint64(st.Blocks) * block, true
}
