package soak

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// smallDisk mounts a small file system, "" if this user may not.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=768m"); err != nil {
		t.Logf("no disk gets full: it takes the right to mount a small file system: %v", err)
		return ""
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// allocate leaves no more than so many bytes of a file system free.
func allocate(dir string, free uint64) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return err
	}
	has := st.Bavail * uint64(st.Bsize)
	if has <= free {
		return nil // it is full already
	}
	f, err := os.OpenFile(filepath.Join(dir, filler), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	at, err := f.Seek(0, 2)
	if err != nil {
		return err
	}
	return syscall.Fallocate(int(f.Fd()), 0, at, int64(has-free))
}
