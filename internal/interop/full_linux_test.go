package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
func small(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
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

// TestFullDisk fills the disk of a running server. Announces are answered when there is room again, and stanzas go on.
// A stop before that says what is wrong; a start on the full disk waits for room as well, and what was acknowledged is there.
func TestFullDisk(t *testing.T) {
	dir := small(t, "200m")
	data := filepath.Join(dir, "data")
	s := serve(t, data)
	p := acknowledge(t, s)
	filler := fill(t, dir, 1<<20)
	waits(t, s, p, "late", 1)
	if err := p.say("%s", chat("on", "u0@im.example/x", "u1@im.example/x", "does it go on?")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a message past a full disk", func() bool { return p.received() == 1 })
	if n := p.results("late"); n > 0 {
		t.Errorf("%d announces are acknowledged that are not on disk", n)
	}
	remove(t, filler)
	eventually(t, "the results of announces that waited for room", func() bool { return p.results("late") == 3 })
	s.find(t, regexp.MustCompile("INFO +the disk has room for sessions again"))

	filler = fill(t, dir, 1<<20)
	waits(t, s, p, "lost", 2)
	s.terminate(t)
	if code := s.wait(t); code != 1 {
		t.Errorf("a stop on a full disk ends with code %d", code)
	}
	s.find(t, regexp.MustCompile("^patchbay: "+full))
	wait(t, p.over, "the end of the stream")
	if n := p.results("lost"); n > 0 {
		t.Errorf("%d announces are acknowledged that are not on disk", n)
	}

	s = serve(t, data)
	p = attachParty(t, s, "n1")
	waits(t, s, p, "back", 1)
	remove(t, filler)
	eventually(t, "the results of announces that waited for room", func() bool { return p.results("back") == 3 })
	s.stop(t)
	keeps(t, data, "late0", "late1", "late2", "back0", "back1", "back2")
}

// waits states three users on a full disk, and returns when the server has said, once more, that it has no room.
func waits(t *testing.T, s *server, p *party, name string, times int) {
	t.Helper()
	for i := range 3 {
		if err := p.say("<iq type='set' id='%s%d' from='n1.im.example' to='im.example'>%s</iq>", name, i, announce(name, i, i+1)); err != nil {
			t.Fatal(err)
		}
	}
	s.findNth(t, regexp.MustCompile("WARN +the disk has no room for sessions: announces are answered when it has"), times)
}

// results counts the iqs whose ids begin so that were answered with a result.
func (p *party) results(name string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.result {
		if strings.HasPrefix(id, name) {
			n++
		}
	}
	return n
}

// remove takes a file away.
func remove(t *testing.T, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}
