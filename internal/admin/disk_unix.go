//go:build linux || darwin

package admin

import (
	"syscall"

	"github.com/patchbay-im/patchbay/internal/admin/api"
)

// disk is the disk that a directory is on, nil if the system does not tell.
func disk(dir string) *api.Disk {
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil {
		return nil
	}
	block := uint64(st.Bsize)
	return &api.Disk{Path: absolute(dir), FreeBytes: uint64(st.Bavail) * block, TotalBytes: uint64(st.Blocks) * block}
}
