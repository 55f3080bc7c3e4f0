package interop

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLocked starts a second server on the directory of a first, which goes on undisturbed.
func TestLocked(t *testing.T) {
	data := t.TempDir()
	first := serve(t, data)
	p := acknowledge(t, first)
	refuses(t, start(t, patchbay(t, data)), `open \S+/sessions: process \d+ \(patchbay\) has it open: stop that one, or give this one a directory of its own$`)
	p.ask(t, "set", announce("more", 0, 10))
	first.stop(t)
	keeps(t, data)
}

// TestPortInUse starts a server on a port that another program has.
func TestPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, key := range []string{"listen.component", "listen.http"} {
		t.Run(key, func(t *testing.T) {
			data := t.TempDir()
			s := serve(t, data)
			acknowledge(t, s)
			s.stop(t)
			refuses(t, start(t, patchbay(t, data, key+"="+ln.Addr().String())),
				ln.Addr().String()+` is in use. Choose another: patchbay serve --set `+key+`=127.0.0.1:0$`)
			keeps(t, data)
		})
	}
}

// TestUnwritable starts a server, as a user without rights, where it may not write.
func TestUnwritable(t *testing.T) {
	const mend = `no permission to write there \(user id \d+\): change its owner or mode$`
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, data string) string // gives the data directory to serve
		why   string
	}{
		{"directory that cannot be made", func(t *testing.T, data string) string {
			chmod(t, data, 0o755, 0o600)
			return filepath.Join(data, "below", "here")
		}, `make the data directory: mkdir \S+: permission denied$`},
		{"directory", func(t *testing.T, data string) string {
			chmod(t, data, 0o755, 0o644)
			return data
		}, `open \S+/sessions: ` + mend},
		{"secret of another", func(t *testing.T, data string) string {
			chmod(t, data, 0o755, 0o600)
			return data
		}, `read the development secret: open \S+/dev-secret: permission denied$`},
		{"file in its place", func(t *testing.T, data string) string {
			file := filepath.Join(filepath.Dir(data), "file")
			write(t, file, nil)
			return file
		}, `read the development secret: open \S+/dev-secret: not a directory$`},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := filepath.Join(public(t), "data")
			s := serve(t, data)
			acknowledge(t, s)
			s.stop(t)
			cmd := patchbay(t, c.spoil(t, data))
			powerless(t, cmd)
			refuses(t, start(t, cmd), c.why)
			chmod(t, data, 0o700, 0o600)
			keeps(t, data)
		})
	}
}

// public gives a directory that everybody can enter; those of the testing package, nobody but their owner.
func public(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "patchbay-interop-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// chmod sets the modes of a directory's tree. Without the right to write, where dir says so, for its owner either.
func chmod(t *testing.T, root string, dir, file os.FileMode) {
	t.Helper()
	if os.Getuid() != 0 && dir == 0o755 {
		dir = 0o555
		if file == 0o600 {
			file = 0o200
		}
	}
	var dirs []string
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		if info.IsDir() {
			dirs = append(dirs, path)
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, file)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if err := os.Chmod(d, dir); err != nil {
			t.Fatal(err)
		}
	}
}

// limited makes a command run under a limit of the shell's.
func limited(t *testing.T, cmd *exec.Cmd, limit string) *exec.Cmd {
	t.Helper()
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skipf("needs a shell to set a limit: %v", err)
	}
	script := "ulimit " + limit + ` && exec "$0" "$@"`
	if out, err := exec.Command(shell, "-c", "ulimit "+limit).CombinedOutput(); err != nil {
		t.Skipf("needs a shell that knows ulimit %s: %s", limit, strings.TrimSpace(string(out)))
	}
	l := exec.Command(shell, append([]string{"-c", script}, cmd.Args...)...)
	l.Dir = cmd.Dir
	return l
}

// TestFileLimit starts and runs a server whose files may not grow: the least of a full disk that needs no rights.
func TestFileLimit(t *testing.T) {
	data := t.TempDir()
	s := serve(t, data)
	acknowledge(t, s)
	s.stop(t)
	refuses(t, start(t, limited(t, patchbay(t, data), "-f 4096")), `write \S+/sessions: no space \(.*\): free some, or move the directory, and start again$`)
	keeps(t, data)
}
