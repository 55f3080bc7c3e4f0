package storage

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The child processes of these tests are this test binary with childDir set.
const (
	childDir = "STORAGE_TEST_CHILD_DIR"
	childJob = "STORAGE_TEST_CHILD_JOB"
)

func TestMain(m *testing.M) {
	switch dir := os.Getenv(childDir); {
	case dir == "":
		os.Exit(m.Run())
	case os.Getenv(childJob) == "fill":
		childFill(dir)
	case os.Getenv(childJob) == "mail":
		childMail(dir)
	case os.Getenv(childJob) == "fill with mail":
		childFillMail(dir)
	case os.Getenv(childJob) == "blocks":
		childBlocks(dir)
	case os.Getenv(childJob) == "fill with blocks":
		childFillBlocks(dir)
	default:
		childAnnounce(dir, os.Getenv(childJob) == "announce loading")
	}
}

// childMost ends a child that hangs; none needs a tenth of it.
const childMost = time.Minute

// child starts this test binary as another process that works on dir.
func child(t *testing.T, dir, job string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), childMost)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) } // shows where it hangs
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), childDir+"="+dir, childJob+"="+job)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, bufio.NewScanner(out)
}

// childAnnounce announces without end from four links, each taking what the others have, and writes a
// line for each acknowledged session: user and the number of its announce. If it is to be loading, it
// never has all sessions in memory.
func childAnnounce(dir string, loading bool) {
	k := defaultKnobs()
	if loading {
		var n atomic.Int32
		k.pace = func(stop <-chan struct{}) {
			if n.Add(1) > 100 {
				<-stop
			}
		}
	}
	s, err := openSessions(Options{Dir: dir, Server: "hub1"}, k)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var out sync.Mutex
	for g := range 4 {
		r, m, _ := s.AttachNode(fmt.Sprintf("node%d", g))
		go func() {
			for i := 0; ; i++ {
				b := s.Begin(r.ID, r.Inc, m)
				var said bytes.Buffer
				for j := range 1 + i%7 {
					user := fmt.Sprintf("user%d-%d-%d", g, i, j)
					_, _, _ = b.Announce([]byte(user), []byte("x"), 0, Take)
					_, _, _ = b.Announce([]byte("shared"), fmt.Append(nil, j), int8(i), Take)
					fmt.Fprintln(&said, user, r.ID)
				}
				b.Commit(func(err error) {
					if err == nil {
						out.Lock()
						_, _ = os.Stdout.Write(said.Bytes())
						out.Unlock()
					}
				})
			}
		}()
	}
	select {}
}

// TestKill: what was acknowledged before a SIGKILL is there after it; also if it came while those of before were
// being read.
func TestKill(t *testing.T) {
	for _, job := range []string{"announce", "announce loading"} {
		t.Run(job, func(t *testing.T) { testKill(t, job) })
	}
}

func testKill(t *testing.T, job string) {
	dir := filepath.Join(t.TempDir(), "sessions")
	acked := map[string]string{}
	for round := range 3 {
		cmd, lines := child(t, dir, job)
		for n := 0; lines.Scan(); n++ {
			user, node, _ := strings.Cut(lines.Text(), " ")
			acked[user] = node
			if n == 2000*(round+1) {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait()
		s, err := OpenSessions(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		for user, node := range acked {
			m := found(s, user+"/x")
			if len(m) != 1 || fmt.Sprint(m[0].Node) != node {
				t.Fatalf("round %d: %s was acknowledged for node %s, found %v", round, user, node, m)
			}
		}
		finish(t, s)
	}
	if len(acked) < 6000 {
		t.Errorf("only %d acknowledged", len(acked))
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, lines := child(t, dir, "announce")
	lines.Scan()
	want := fmt.Sprintf("error open %s: process %d (", dir, os.Getpid())
	if got := lines.Text(); !strings.HasPrefix(got, want) || !strings.Contains(got, "has it open: stop that one") {
		t.Errorf("got  %s\nwant %s...", got, want)
	}
}

func TestBadDirectory(t *testing.T) {
	cases := []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  string
	}{
		{"manifest of another program", func(t *testing.T, dir string) {
			overwrite(t, filepath.Join(dir, "MANIFEST"), []byte("not a manifest"))
		}, "the database is damaged"},
		{"table with a wrong end", func(t *testing.T, dir string) {
			all, _ := filepath.Glob(filepath.Join(dir, "*.sst"))
			for _, f := range all {
				b, _ := os.ReadFile(f)
				overwrite(t, f, bytes.Repeat([]byte{0xa5}, len(b)))
			}
		}, "the database is damaged"},
		{"table with a changed byte", func(t *testing.T, dir string) {
			all, _ := filepath.Glob(filepath.Join(dir, "*.sst"))
			for _, f := range all {
				b, _ := os.ReadFile(f)
				b[20] ^= 1
				overwrite(t, f, b)
			}
		}, "the database is damaged"},
		{"table cut short", func(t *testing.T, dir string) {
			all, _ := filepath.Glob(filepath.Join(dir, "*.sst"))
			for _, f := range all {
				_ = os.Truncate(f, 3)
			}
		}, "the database is damaged"},
		{"table missing", func(t *testing.T, dir string) {
			all, _ := filepath.Glob(filepath.Join(dir, "*.sst"))
			for _, f := range all {
				_ = os.Remove(f)
			}
		}, "the database is damaged"},
		{"a file in its place", func(t *testing.T, dir string) {
			_ = os.RemoveAll(dir)
			overwrite(t, dir, nil)
		}, "it is not a directory"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "sessions")
			s := open(t, dir)
			l := attach(t, s, "node1")
			if _, _, err := l.say(t, "a@im.example/x", 0, Take); err != nil {
				t.Fatal(err)
			}
			finish(t, s)
			c.spoil(t, dir)
			_, err := OpenSessions(Options{Dir: dir})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func overwrite(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestNewerSchema(t *testing.T) {
	dir := t.TempDir()
	db, err := openBadger(dir, &badgerLog{})
	if err != nil {
		t.Fatal(err)
	}
	txn := db.NewTransaction(true)
	_ = txn.Set([]byte(schemaKey), []byte{0, 0, 0, schema + 1})
	if err := txn.Commit(); err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	_, err = OpenSessions(Options{Dir: dir})
	if err == nil || !errors.Is(err, errSchema) || !strings.Contains(err.Error(), "use the newer program") {
		t.Errorf("got %v", err)
	}
}

// childFill announces until the disk is full: on tmpfs, which the parent has mounted, or up to the
// limit of a file's size. It writes the error, and how many done calls had which.
func childFill(dir string) {
	fail := make(chan error, 2)
	s, err := OpenSessions(Options{Dir: dir, OnFail: func(err error) { fail <- err }})
	if err != nil {
		fmt.Println("open", err)
		os.Exit(1)
	}
	r, m, _ := s.AttachNode("node1")
	acked := make(chan bool, 1<<16)
	for i := 0; len(fail) == 0; i++ {
		b := s.Begin(r.ID, r.Inc, m)
		for j := range 1000 {
			_, _, _ = b.Announce(fmt.Appendf(nil, "user%d-%d", i, j), bytes.Repeat([]byte{'x'}, 500), 0, Take)
		}
		b.Commit(func(err error) { acked <- err == nil })
	}
	err = s.commits.flush()
	good, late := 0, 0
	for len(acked) > 0 {
		switch ok := <-acked; {
		case ok && late > 0:
			fmt.Println("acknowledged after the failure")
		case ok:
			good++
		default:
			late++
		}
	}
	fmt.Println("failed", <-fail)
	fmt.Println("same", err != nil, len(fail) == 0, s.Close() != nil)
	fmt.Println("batches", good)
	os.Exit(0)
}

// TestFullDisk: a full disk is an error that says so; what was acknowledged before it is there.
func TestFullDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=220m"); err != nil {
		t.Skipf("needs the right to mount a small file system: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	_, lines := child(t, dir, "fill")
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
	}
	got := strings.Join(said, "\n")
	if len(said) != 3 || !strings.Contains(said[0], "failed write "+dir+": no space") || said[1] != "same true true true" {
		t.Fatalf("got %s", got)
	}
	var batches int
	if _, err := fmt.Sscan(strings.TrimPrefix(said[2], "batches "), &batches); err != nil || batches == 0 {
		t.Fatalf("got %s", got)
	}
	s, err := OpenSessions(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if total(s) < batches*1000 {
		t.Errorf("%d sessions after %d batches of 1000 were acknowledged", s.Total(), batches)
	}
	_ = s.Close() // may be refused for lack of space: nothing was to be written
}
