package soak

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
)

// sdk is the member that has the Go SDK, in a process of its own. Killed, it is started again.
type sdk struct {
	m *member

	mu    sync.Mutex
	life  *life // guarded by mu, as all below; nil: it is dead
	dead  *life // the one before
	count int   // of orders
	lives int

	left []*statement // owned by the worker: of a life that was killed. They may be on their way until the server has the next
}

// life is one process of the SDK.
type life struct {
	number   int // from 1
	cmd      *exec.Cmd
	orders   io.Writer
	attached chan struct{} // closed when it is
	over     chan struct{} // closed when all that it told is read
	once     sync.Once
	restates *statement // owned by the reader until it is over: what it says by itself after it was detached

	mu      sync.Mutex
	waiting map[int]chan told // guarded by mu: by order
}

var errDead = errors.New("the node's process was killed")

func newSDK(t *testing.T, m *member) *sdk {
	t.Helper()
	x := &sdk{m: m}
	l, err := x.start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.kill() })
	eventually(t, "the node with the SDK", func() bool { return closed(l.attached) || closed(l.over) })
	return x
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// start starts the process.
func (x *sdk) start() (*life, error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+x.m.net.Addr())
	cmd.Stderr = &x.m.w.told
	orders, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	tells, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lives++
	l := &life{number: x.lives, cmd: cmd, orders: orders, attached: make(chan struct{}), over: make(chan struct{}), waiting: map[int]chan told{}}
	x.life = l
	go x.read(l, tells) // ends with the process
	return l, nil
}

// read reads all that a process tells, to the last word.
func (x *sdk) read(l *life, tells io.Reader) {
	lines, last := bufio.NewScanner(tells), map[*lane]int{}
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e told
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue // the end of a line that was cut off
		}
		x.hear(l, e, last)
	}
	_ = l.cmd.Wait()
	close(l.over)
}

func (x *sdk) hear(l *life, e told, last map[*lane]int) {
	b := x.m.w.book
	switch e.Event {
	case "came":
		b.came(acked, arrival{id: e.ID, to: e.To, from: e.From, life: l.number}, last)
	case "answered":
		b.answered(acked, e.ID, e.From, e.Error, e.List)
	case "attached":
		x.restated(l)
		l.once.Do(func() { close(l.attached) })
	case "detached":
		b.resend()
		x.restated(l)
		holds := map[string]bool{}
		for _, name := range e.List {
			holds[name] = true
		}
		l.restates = x.m.w.table.begin(acked, holds)
	default:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.waiting[e.N] <- e
		delete(l.waiting, e.N)
	}
}

// restated ends what the SDK says by itself: what the server made of it is not known here.
func (x *sdk) restated(l *life) {
	if l.restates != nil {
		x.m.w.table.end(l.restates, false, nil)
	}
	l.restates = nil
}

// now gives the process that lives, nil if there is none.
func (x *sdk) now() *life {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.life
}

// kill kills the process, and returns when all that it told is noted.
func (x *sdk) kill() bool {
	x.mu.Lock()
	l := x.life
	if l != nil {
		x.life, x.dead = nil, l
	}
	x.mu.Unlock()
	if l == nil {
		return false
	}
	_ = l.cmd.Process.Kill()
	<-l.over
	return true
}

// again starts a process after a kill. It says of whom it may have held that they are there, before their grace ends.
func (x *sdk) again() {
	if x.now() != nil {
		return
	}
	l, err := x.start()
	if err != nil {
		x.m.w.book.refuse("the node with the SDK cannot be started again: %v", err)
		return
	}
	select {
	case <-l.attached:
	case <-l.over:
		if x.now() == l {
			x.m.w.book.refuse("the node with the SDK has ended")
		}
		return
	case <-x.m.w.ctx.Done():
		return
	}
	x.mu.Lock()
	x.restated(x.dead) // it is over
	x.mu.Unlock()
	for _, s := range x.left {
		x.m.w.table.end(s, false, nil)
	}
	x.left = nil
	for _, name := range x.m.w.table.of(acked) {
		x.say(name, true)
	}
}

// order has the process do something, and waits for its answer; 0 if it was killed before.
func (x *sdk) order(o order) (told, int, error) {
	x.mu.Lock()
	l := x.life
	x.count++
	o.N = x.count
	x.mu.Unlock()
	if l == nil {
		return told{}, 0, errDead
	}
	answer := make(chan told, 1)
	l.mu.Lock()
	l.waiting[o.N] = answer
	l.mu.Unlock()
	line, err := json.Marshal(o)
	if err != nil {
		return told{}, 0, err
	}
	_, _ = l.orders.Write(append(line, '\n')) // over tells
	select {
	case e := <-answer:
		if e.Error != "" {
			return e, l.number, errors.New(e.Error)
		}
		return e, l.number, nil
	case <-l.over:
	}
	select { // it may have been the last word
	case e := <-answer:
		return e, l.number, nil
	default:
		return told{}, 0, errDead
	}
}

// send gives stanzas to the SDK, which promises to keep the messages as long as it lives.
func (x *sdk) send(a act) {
	b := x.m.w.book
	for range a.count {
		l := x.now()
		if l == nil {
			return
		}
		o := x.stanza(a, l.number)
		_, number, err := x.order(o)
		switch {
		case errors.Is(err, errDead):
			return
		case err != nil:
			b.refuse("%s cannot send: %v", names[acked], err)
			return
		case number == l.number && a.verb != "ask" && a.verb != "presence":
			b.promised(o.ID)
		}
	}
}

// stanza gives one stanza of an act, which a life of the process is to send.
func (x *sdk) stanza(a act, life int) order {
	b, kills := x.m.w.book, int(x.m.w.kills.Load())
	o := order{Verb: a.verb, To: targets[a.whom], Size: a.size}
	switch a.verb {
	case "presence", "ask":
		o.ID = b.write(acked, a.verb, o.To, life, kills)
	case "group":
		o.Recipients, o.To = several(a.whom)
		o.ID = b.writeGroup(acked, o.Recipients, life, kills)
	default:
		o.ID = b.write(acked, "message", o.To, life, kills)
	}
	return o
}

// say announces or withdraws a user.
func (x *sdk) say(name string, there bool) {
	if x.now() == nil {
		return
	}
	o := order{Verb: "withdraw", To: name}
	if there {
		o.Verb = "announce"
	}
	s := x.m.w.table.begin(acked, map[string]bool{name: there})
	_, _, err := x.order(o)
	if errors.Is(err, errDead) {
		x.left = append(x.left, s)
		return
	}
	if err != nil {
		x.m.w.book.refuse("%s cannot %s %s: %v", names[acked], o.Verb, name, err)
	}
	x.m.w.table.end(s, err == nil, nil)
}

// flush asks for the server's promise to keep what was sent.
func (x *sdk) flush() {
	at := x.m.w.book.written(acked)
	_, life, err := x.order(order{Verb: "flush"})
	switch {
	case errors.Is(err, errDead):
	case err != nil:
		x.m.w.book.refuse("%s cannot flush: %v", names[acked], err)
	default:
		x.m.w.book.kept(acked, life, at)
	}
}

// holds gives whom the node believes to hold.
func (x *sdk) holds() []string {
	e, _, err := x.order(order{Verb: "list"})
	if err != nil {
		x.m.w.book.refuse("%s cannot say whom it holds: %v", names[acked], fmt.Errorf("list: %w", err))
	}
	return e.List
}
