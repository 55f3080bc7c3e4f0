package admin

import (
	"bytes"
	"os"
	"strconv"
)

// resident is the memory of the process that is in use, in bytes: the second number of statm counts pages (proc(5)).
func resident() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(string(fields[1]), 10, 64)
	return pages * uint64(os.Getpagesize())
}
