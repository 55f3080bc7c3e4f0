//go:build unix

package storage

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestOutboxLost: a block is lost when its bytes are not those that were written, or its file is gone. It is not when the process
// may open no more files.
func TestOutboxLost(t *testing.T) {
	dir := t.TempDir()
	q := queues(t, QueuesOptions{Dir: dir})
	defer shut(t, q)
	o := q.Outbox()
	hand(t, o, "a.example", 1, "one")
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	none := was
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	_, err := o.Get("a.example", 1)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err == nil || errors.Is(err, ErrDamaged) || errors.Is(err, ErrNoBlock) {
		t.Errorf("with no file to be opened: %v", err)
	}
	if got, err := o.Get("a.example", 1); err != nil || string(got) != "one" {
		t.Errorf("afterwards: %q, %v", got, err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "outbox", "*"+segmentExt))
	if len(files) != 1 {
		t.Fatalf("files: %v", files)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)-1]++
	if err := os.WriteFile(files[0], text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Get("a.example", 1); !errors.Is(err, ErrDamaged) {
		t.Errorf("with another byte: %v", err)
	}
	if err := os.Rename(files[0], files[0]+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Get("a.example", 1); !errors.Is(err, ErrDamaged) {
		t.Errorf("without its file: %v", err)
	}
	if err := os.Rename(files[0]+".away", files[0]); err != nil { // Close removes it
		t.Fatal(err)
	}
}
