package routing

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// handDisk is an outbox that commits when the test says so.
type handDisk struct {
	mu     sync.Mutex
	values map[placeOnDisk][]byte
	calls  []func(error)
	refuse error
	broken error  // of Get
	before func() // of the next Put, with no lock held
	puts   int
}

func (d *handDisk) Put(target string, number uint64, value []byte, done func(error)) error {
	if f := d.before; f != nil {
		d.before = nil
		f()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.puts++; d.refuse != nil {
		return d.refuse
	}
	d.values[placeOnDisk{target, number}] = value
	d.calls = append(d.calls, done)
	return nil
}

func (d *handDisk) Get(target string, number uint64) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil {
		return nil, d.broken
	}
	if v := d.values[placeOnDisk{target, number}]; v != nil {
		return v, nil
	}
	return nil, storage.ErrNoBlock
}

func (d *handDisk) Delete(target string, number uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.values, placeOnDisk{target, number})
}

// commit calls back for all that was put.
func (d *handDisk) commit(err error) {
	d.mu.Lock()
	calls := d.calls
	d.calls = nil
	d.mu.Unlock()
	for _, done := range calls {
		done(err)
	}
}

// ids gives the ids of the stanzas on disk, by the numbers of their blocks.
func (d *handDisk) ids() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var numbers []uint64
	for p := range d.values {
		numbers = append(numbers, p.number)
	}
	slices.Sort(numbers)
	var all []string
	for _, n := range numbers {
		var b block
		if err := b.decode(d.values[placeOnDisk{"node", n}]); err != nil {
			return err.Error()
		}
		b.each(func(raw []byte, _ rec) { all = append(all, idOf(raw)) })
	}
	return strings.Join(all, " ")
}

// keptbed is a queue with such a disk, a clock, and a beat that the test makes go.
type keptbed struct {
	t       *testing.T
	disk    *handDisk
	q       *Queue
	w       *wire
	now     atomic.Int64 // nanoseconds
	armed   atomic.Int64
	letters []uint32
	logged  []string
	writers sync.WaitGroup
}

func newKeptbed(t *testing.T, limit int, off bool) *keptbed {
	k := &keptbed{t: t, disk: &handDisk{values: map[placeOnDisk][]byte{}}}
	env := &queueEnv{wg: &k.writers, arrived: func(tokens []uint32) { k.letters = append(k.letters, tokens...) },
		lost: func(Reason, storage.NodeID) {}, clock: new(atomic.Int64), moment: new(atomic.Uint64), most: new(atomic.Int64), tight: new(atomic.Bool),
		mono: func() int64 { return k.now.Load() + 1 }, arm: func(*Queue) { k.armed.Add(1) }, server: "hub", off: off, outbox: k.disk,
		log: func(_ *Queue, what string, err error) { k.logged = append(k.logged, fmt.Sprint(what, ": ", err)) }}
	k.q = newQueue(limit, env, &Node{Domain: "node"}, "node")
	t.Cleanup(func() {
		if len(k.logged) > 0 {
			t.Errorf("logged: %q", k.logged)
		}
	})
	return k
}

// put queues a message, or what raw is, of a class.
func (k *keptbed) put(raw string, r rec) {
	k.t.Helper()
	raw = strings.ReplaceAll(raw, "CHAT", "<message type='chat'")
	r.origin = 1
	res, flush := k.q.put(&stanza.Header{Raw: []byte(raw)}, nil, r)
	if res != putOK {
		k.t.Fatalf("put %.60s: %d", raw, res)
	}
	if flush {
		k.q.flush()
	}
}

// chat is a message of a size, with an id, to a user.
func chat(id, to string, size int) string {
	return fmt.Sprintf("CHAT to='%s' id='%s'><body>%s</body></message>", to, id, strings.Repeat("x", size))
}

// attach gives the queue a link that takes so many bytes.
func (k *keptbed) attach(room int) {
	k.w = newWire(room)
	k.q.attach(k.w, false)
	_ = k.q.begin(k.w, nil)
}

func (k *keptbed) detach() {
	k.w.breakIt()
	k.q.detach(k.w)
}

// answer answers the pings, and those that follow.
func (k *keptbed) answer() {
	for {
		k.w.mu.Lock()
		asked := k.w.asked
		k.w.asked = nil
		k.w.mu.Unlock()
		if len(asked) == 0 {
			return
		}
		for _, id := range asked {
			if _, flush := k.q.answered([]byte(id)); flush {
				k.q.flush()
			}
		}
	}
}

// pass lets time pass: the beat goes if the queue has asked for it, and the disk commits what it gets.
func (k *keptbed) pass(d time.Duration) {
	for end := k.now.Load() + int64(d); k.now.Load() < end; k.now.Add(int64(beatEach)) {
		if k.armed.Load() > 0 && !k.q.tick() {
			k.armed.Add(-1)
		}
		if k.armed.Load() > 1 {
			k.t.Errorf("the queue asked for the beat %d times", k.armed.Load())
		}
		k.disk.commit(nil)
	}
}

func (k *keptbed) onDisk(want string) {
	k.t.Helper()
	if got := k.disk.ids(); got != want {
		k.t.Errorf("on disk: %s\nwant %s", got, want)
	}
}

// counts holds the queue to what is in it.
func (k *keptbed) counts(waiting, kept int) {
	k.t.Helper()
	s := k.q.stats()
	if int(s.Waiting) != waiting || s.KeptStanzas != kept || s.Bytes < 0 || s.Kept < 0 || (kept == 0) != (s.Kept == 0) || (waiting == kept) != (s.Bytes == 0) {
		k.t.Errorf("%d wait and %d of them on disk, want %d and %d: %+v", s.Waiting, s.KeptStanzas, waiting, kept, s)
	}
}

func mustAddress(t *testing.T, s string) stanza.Address {
	t.Helper()
	a, _, err := stanza.ParseAddress([]byte(s), false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// take takes what waits for a user, and gives the ids. It is safe where it went at once.
func (k *keptbed) take(who string) string {
	all, left := k.takeOnly(who)
	k.q.paid(left.blocks)
	return all
}

// takeOnly does so while it is not safe yet.
func (k *keptbed) takeOnly(who string) (string, remains) {
	var all []string
	taken, left := k.q.takeUser(mustAddress(k.t, who), true)
	for _, s := range taken {
		all = append(all, idOf(s.raw))
	}
	return strings.Join(all, " "), left
}
