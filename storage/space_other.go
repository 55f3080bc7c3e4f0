//go:build !linux && !darwin

package storage

// freeBytes is not known here: a full disk is then found by the write.
func freeBytes(string) (uint64, bool) { return 0, false }
