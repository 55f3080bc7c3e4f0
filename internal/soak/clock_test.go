package soak

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// jumpMost bounds how far the clock of a server is from that of the machine.
const jumpMost = 12 * time.Hour

// build builds patchbay as it is, but for the clock: time.Now of the whole program is ahead by what it reads from its standard
// input. The monotonic part is as ever, so it is what a server sees on a machine whose clock is set.
func build(t *testing.T, binary string) {
	t.Helper()
	golang := func(args ...string) string {
		out, err := exec.Command("go", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	times := filepath.Join(golang("env", "GOROOT"), "src", "time")
	program := golang("list", "-f", "{{.Dir}}", "github.com/patchbay-im/patchbay/cmd/patchbay")
	source, err := os.ReadFile(filepath.Join(times, "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	const read = "sec, nsec, mono := runtimeNow()\n" // in Now
	if n := strings.Count(string(source), read); n != 1 {
		t.Fatalf("time.Now of this Go reads the clock %d times", n)
	}
	dir := t.TempDir()
	replaced, overlay := filepath.Join(dir, "time.go"), filepath.Join(dir, "overlay.json")
	write(t, replaced, strings.Replace(string(source), read, read+"\tsec += Ahead.Load()\n", 1))
	here := func(name string) string {
		path, err := filepath.Abs(filepath.Join("testdata", "clock", name))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(times, "time.go"):         replaced,
		filepath.Join(times, "ahead.go"):        here("ahead.go"),
		filepath.Join(program, "soak_clock.go"): here("stdin.go"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, overlay, string(list))
	golang("build", "-overlay", overlay, "-buildvcs=false", "-o", binary, "github.com/patchbay-im/patchbay/cmd/patchbay")
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// jump sets the server's clock. It stays so over its lives.
func (s *server) jump(by time.Duration) {
	if next := s.ahead + by; next.Abs() > jumpMost {
		by = -by
	}
	s.ahead += by
	s.setClock() // one that has ended hears it at its start
}

func (s *server) setClock() { _, _ = fmt.Fprintln(s.clock, int64(s.ahead/time.Second)) }
