package interop

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// receiver is what the receiving node of a loss test is made with.
type receiver struct {
	name    string
	handler string // plain, coroutine, or how many ms a plain one takes
	file    string // its program in testdata
}

var (
	slixmppPlain     = receiver{"slixmpp", "plain", "receive_slixmpp.py"}
	slixmppCoroutine = receiver{"slixmpp with coroutines", "coroutine", "receive_slixmpp.py"}
	xmppJS           = receiver{"xmpp.js", "plain", "receive_xmppjs.js"}
	stdlib           = receiver{"the standard library of Python", "plain", "receive_stdlib.py"}

	receivers = []receiver{slixmppPlain, slixmppCoroutine, xmppJS, stdlib}
)

const (
	receiverDomain = "receiver.im.example"
	receiverUser   = "rosa@im.example/x"
	smallBuffer    = 4096 // SO_RCVBUF of a receiver that stops reading
	readsOn        = -1   // as stop: the receiver never stops reading
)

// receiving is how a receiver takes part in a test.
type receiving struct {
	log    string // what its handlers note
	stop   int    // messages behind which it stops reading, at its first attach; 0: behind <handshake/>
	buffer int    // SO_RCVBUF; 0: as the system has it
	user   string // is announced; "": nobody
}

// listener is a receiver at work.
type listener struct {
	*process
	said map[string]int // lines waited for, by their word
}

// open starts a receiver. It attaches when it is told.
func (r receiver) open(t *testing.T, s *server, as receiving) *listener {
	t.Helper()
	needsPython(t)
	words := []string{python}
	switch {
	case strings.HasSuffix(r.file, ".js"):
		words = append(words, filepath.Join("testdata", "small.py"), fmt.Sprint(as.buffer), nodejs(t))
	case strings.Contains(r.file, "slixmpp"):
		slixmpp(t)
	}
	user := as.user
	if user == "" {
		user = "-"
	}
	words = append(words, filepath.Join("testdata", r.file), s.addr, receiverDomain, s.secret, as.log, r.handler,
		fmt.Sprint(as.stop), fmt.Sprint(as.buffer), user)
	return &listener{start(t, exec.Command(words[0], words[1:]...)), map[string]int{}}
}

// tell gives the receiver a word.
func (l *listener) tell(t *testing.T, word string) {
	t.Helper()
	if _, err := fmt.Fprintln(l.in, word); err != nil {
		t.Fatal(err)
	}
}

// does gives the receiver a word and waits until it says another.
func (l *listener) does(t *testing.T, word, answer string) {
	t.Helper()
	l.tell(t, word)
	l.says(t, answer)
}

// says waits until the receiver says a word once more.
func (l *listener) says(t *testing.T, word string) {
	t.Helper()
	l.said[word]++
	l.findNth(t, regexp.MustCompile("^"+word), l.said[word])
}

// quits lets the receiver end its stream, and sees that nothing has gone wrong in it.
func (l *listener) quits(t *testing.T) {
	t.Helper()
	l.tell(t, "quit")
	if code := l.wait(t); code != 0 {
		t.Errorf("the receiver ends with %d:\n%s", code, strings.Join(l.output(), "\n"))
	}
	for _, line := range l.output() {
		if strings.HasPrefix(line, "fault") {
			t.Error(line)
		}
	}
}

// handled is a message whose handler has begun.
type handled struct {
	number      int
	from, stamp string // of its delay; "-": none
}

// journal is what the handlers of a receiver have noted, stream by stream.
type journal struct {
	file    *os.File
	part    []byte
	streams [][]handled
	total   int
}

func openJournal(t *testing.T) *journal {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "handled"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return &journal{file: f}
}

// read takes in what has been noted since.
func (j *journal) read(t *testing.T) {
	t.Helper()
	fresh, err := io.ReadAll(j.file)
	if err != nil {
		t.Fatal(err)
	}
	j.part = append(j.part, fresh...)
	for {
		line, rest, ok := bytes.Cut(j.part, []byte("\n"))
		if !ok {
			return
		}
		j.part = rest
		if string(line) == "+" {
			j.streams = append(j.streams, nil)
			continue
		}
		words := strings.Fields(string(line))
		if len(words) != 3 || len(j.streams) == 0 {
			t.Fatalf("a handler notes %q in stream %d", line, len(j.streams))
		}
		number, err := strconv.Atoi(strings.TrimPrefix(words[0], "m"))
		if err != nil {
			t.Fatal(err)
		}
		last := len(j.streams) - 1
		j.streams[last] = append(j.streams[last], handled{number, words[1], words[2]})
		j.total++
	}
}

// last is the number of the message that was handled last.
func (j *journal) last() int {
	for i := len(j.streams) - 1; i >= 0; i-- {
		if s := j.streams[i]; len(s) > 0 {
			return s[len(s)-1].number
		}
	}
	return 0
}

// until waits until something is noted, as long as there is more to read now and then.
func (j *journal) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, late, total := time.NewTicker(time.Millisecond), time.Now().Add(patience), -1
	defer tick.Stop()
	for {
		j.read(t)
		switch {
		case ok():
			return
		case j.total != total:
			late, total = time.Now().Add(patience), j.total
		case time.Now().After(late):
			t.Fatalf("wait in vain for %s: %d handled, the last is %d", what, j.total, j.last())
		}
		<-tick.C
	}
}

// hears waits until the last message of a sender is handled. Other servers may lose that one too, so while nothing comes there
// is one more now and then.
func (j *journal) hears(t *testing.T, x *sender) {
	t.Helper()
	total, since := -1, time.Now()
	j.until(t, "the last message", func() bool {
		switch {
		case j.total != total:
			total, since = j.total, time.Now()
		case time.Since(since) > 3*time.Second:
			since = time.Now()
			x.send(t, 1)
		}
		return j.last() == x.sent
	})
}
