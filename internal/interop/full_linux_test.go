package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody is a user without rights.
const nobody = 65534

// powerless makes a command run as a user who may write nowhere. A user other than root is that already.
func powerless(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
}

// small mounts a small file system.
func small(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=200m"); err != nil {
		t.Skipf("needs the right to mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes a file that leaves about free bytes.
func fill(t *testing.T, dir string, free uint64) (file string) {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "filler")
	write(t, file, make([]byte, st.Bavail*uint64(st.Bsize)-free))
	return file
}

const full = `write \S+/sessions: no space \(.*\): free some, or move the directory, and start again$`

// TestFullDisk fills the disk of a running server. It ends at the first announce that it cannot keep, and answers
// none; what it had acknowledged is there, also after a start on the full disk.
func TestFullDisk(t *testing.T) {
	dir := small(t)
	data := filepath.Join(dir, "data")
	s := serve(t, data)
	p := acknowledge(t, s)
	filler := fill(t, dir, 1<<20)
	var late strings.Builder
	for i := range 3 {
		fmt.Fprintf(&late, "<iq type='set' id='late%d' from='n1.im.example' to='im.example'>%s</iq>", i, announce("late", i, i+1))
	}
	if err := p.say("%s", late.String()); err != nil {
		t.Fatal(err)
	}
	refuses(t, s.process, full)
	wait(t, p.over, "the end of the connection")
	for id := range p.result {
		if strings.HasPrefix(id, "late") {
			t.Errorf("the announce %s was acknowledged", id)
		}
	}
	again := start(t, patchbay(t, data))
	refuses(t, again, full)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	keeps(t, data)
	serve(t, data).stop(t)
}
