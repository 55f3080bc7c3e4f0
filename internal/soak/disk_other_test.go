//go:build !linux

package soak

import "testing"

// smallDisk gives "": a small file system is not mounted here.
func smallDisk(t *testing.T) string {
	t.Helper()
	t.Log("no disk gets full: a small file system is mounted on Linux only")
	return ""
}

func allocate(string, uint64) error { return nil }
