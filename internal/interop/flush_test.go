package interop

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/storage"
)

// The sessions of TestKillFlush have resources so long that the database writes its tables several times a life.
const (
	longResource = 1000 // bytes, of 1023 (RFC 7622 3.4)
	perStatement = 200  // sessions: a stanza has at most 256 KiB
)

func longUser(i int) string { return fmt.Sprintf("long%d@im.example", i) }

// TestKillFlush kills the server while the database moves what it holds from its write-ahead files to tables.
func TestKillFlush(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	data, acked := t.TempDir(), 0
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		s := serve(t, data)
		p := attachParty(t, s, "n1")
		resource := strings.Repeat("r", longResource)
		over := make(chan struct{})
		go func(first int) { // ends with the server
			defer close(over)
			for n := first; p.say("%s", longStatement(n, resource)) == nil; n += perStatement {
			}
		}(acked)
		most := acked/perStatement + 100 + rng.IntN(100) // 20 to 40 MB
		eventually(t, "statements to be acknowledged", func() bool { return acked/perStatement+p.answered() >= most })
		s.kill()
		wait(t, p.over, "the end of the connection")
		<-over
		acked += perStatement * p.answered()
		if !hasLong(t, data, acked) {
			t.Fatalf("after kill %d, seed %d", round+1, seed)
		}
	}
	t.Logf("%d sessions acknowledged", acked)
}

// longStatement announces perStatement users.
func longStatement(first int, resource string) string {
	var all strings.Builder
	fmt.Fprintf(&all, "<iq type='set' id='%d' from='n1.im.example' to='im.example'><sessions xmlns='urn:patchbay:sessions:1'>", first)
	for i := first; i < first+perStatement; i++ {
		fmt.Fprintf(&all, "<announce jid='%s/%s'/>", longUser(i), resource)
	}
	all.WriteString("</sessions></iq>")
	return all.String()
}

// answered is the number of results: they come in the order of the requests.
func (p *party) answered() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.result)
}

// hasLong reports whether the table has the first users.
func hasLong(t *testing.T, data string, acked int) bool {
	t.Helper()
	s, err := storage.OpenSessions(storage.Options{Dir: filepath.Join(data, "sessions"), Server: "hub1.im.example"})
	if err != nil {
		t.Error(err)
		return false
	}
	lost := 0
	for i := range acked {
		if len(s.Where([]byte(longUser(i)))) != 1 {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged sessions are lost", lost, acked)
	}
	if err := s.ConsistencyCheck(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return !t.Failed()
}
