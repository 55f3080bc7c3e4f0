package interop

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/storage"
)

// acknowledgedUsers is how many sessions are in the table before it meets its fault.
const acknowledgedUsers = 900

// acknowledge announces users in three statements and returns when the server has said that it will not forget them.
func acknowledge(t *testing.T, s *server) *party {
	t.Helper()
	p := attachParty(t, s, "n1")
	for part := range 3 {
		p.ask(t, "set", announce("u", part*acknowledgedUsers/3, (part+1)*acknowledgedUsers/3))
	}
	return p
}

// announce is a statement of users from first to beyond.
func announce(name string, first, beyond int) string {
	var all strings.Builder
	all.WriteString("<sessions xmlns='urn:patchbay:sessions:1'>")
	for i := first; i < beyond; i++ {
		fmt.Fprintf(&all, "<announce jid='%s%d@im.example/x'/>", name, i)
	}
	all.WriteString("</sessions>")
	return all.String()
}

// keeps sees that the table has all that was acknowledged, and these users.
func keeps(t *testing.T, data string, users ...string) {
	t.Helper()
	s, err := storage.OpenSessions(storage.Options{Dir: filepath.Join(data, "sessions"), Server: "hub1.im.example"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range acknowledgedUsers {
		users = append(users, fmt.Sprintf("u%d", i))
	}
	for _, user := range users {
		if len(s.Where([]byte(user+"@im.example"))) != 1 {
			t.Fatalf("%s was acknowledged and is not there", user)
		}
	}
	if err := s.ConsistencyCheck(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// refuses sees that a program ends with code 1 and one line that says why.
func refuses(t *testing.T, p *process, why string) {
	t.Helper()
	if code := p.wait(t); code != 1 {
		t.Errorf("exit code %d", code)
	}
	faults := p.faults()
	if len(faults) != 1 || !regexp.MustCompile("^patchbay: "+why).MatchString(faults[0]) {
		t.Errorf("the server says\n\t%s\nwant one line like\n\t%s", strings.Join(faults, "\n\t"), why)
	}
}

// TestDamage damages each of the files of a data directory, after an orderly stop, or a kill. The server says
// which directory it is and changes nothing: with the file as it was, everything is there.
func TestDamage(t *testing.T) {
	const damaged = `read \S+: the database is damaged .*: move the directory away and start again; nodes will state their sessions anew$`
	for _, c := range []struct {
		name  string
		files string // below the data directory
		spoil func([]byte) []byte
		why   string
	}{
		{"manifest", "sessions/MANIFEST", garbage, damaged},
		{"manifest cut", "sessions/MANIFEST", half, damaged},
		{"manifest empty", "sessions/MANIFEST", empty, damaged},
		{"table", "sessions/*.sst", flip, damaged},
		{"table cut", "sessions/*.sst", half, damaged},
		{"table empty", "sessions/*.sst", empty, damaged},
		{"write-ahead file", "sessions/*.mem", flip, damaged},
		{"key registry", "sessions/KEYREGISTRY", garbage, damaged},
		{"value log", "sessions/000001.vlog", garbage, damaged},
		{"secret empty", "dev-secret", empty, `read the development secret: \S+ has 0 bytes, 16 is the least; remove it and start again$`},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := t.TempDir()
			s := serve(t, data)
			acknowledge(t, s)
			if strings.HasSuffix(c.files, ".mem") {
				s.kill() // a stop leaves none
			} else {
				s.stop(t)
			}
			files, err := filepath.Glob(filepath.Join(data, c.files))
			if err != nil || len(files) == 0 {
				t.Fatalf("no %s: %v", c.files, err)
			}
			was := map[string][]byte{}
			for _, f := range files {
				if was[f], err = os.ReadFile(f); err != nil {
					t.Fatal(err)
				}
				write(t, f, c.spoil(bytes.Clone(was[f])))
			}
			refuses(t, start(t, patchbay(t, data)), c.why)
			for f, b := range was {
				write(t, f, b)
			}
			keeps(t, data)
		})
	}
}

// TestLitter puts into a data directory what a kill between two steps of Badger's leaves there: files that were made and
// not yet filled, or not yet put in the place of others. None of them holds anything, so a start goes on.
func TestLitter(t *testing.T) {
	for _, name := range []string{"00009.mem", "000009.sst", "000009.vlog", "MANIFEST-REWRITE", "REWRITE-KEYREGISTRY"} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			s := serve(t, data)
			acknowledge(t, s)
			s.kill()
			write(t, filepath.Join(data, "sessions", name), nil)
			serve(t, data).stop(t)
			keeps(t, data)
		})
	}
}

func garbage(b []byte) []byte { return bytes.Repeat([]byte{0xa5}, len(b)) }
func half(b []byte) []byte    { return b[:len(b)/2] }
func empty([]byte) []byte     { return nil }

// flip changes one bit within the first kilobyte, where there are records in each kind of file.
func flip(b []byte) []byte {
	b[min(len(b), 1024)/2] ^= 4
	return b
}

func write(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
