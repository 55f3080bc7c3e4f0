package interop

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/storage"
)

// killing is a run of TestKill.
type killing struct {
	dir    string
	rng    *rand.Rand
	owners []*owner

	// of one round
	round int
	s     *server
	probe *party // asks, by messages, whom the server knows
	lives []*life
}

// TestKill kills the server at random moments while nodes announce and withdraw. After each kill the table holds what
// was acknowledged and nothing that was withdrawn; after each restart a user of a node that is still away is no
// stranger: the message waits, and reaches the node when it is back.
func TestKill(t *testing.T) {
	seed := rand.Uint64()
	k := &killing{dir: t.TempDir(), rng: rand.New(rand.NewPCG(seed, 0)), owners: []*owner{newOwner("n1", seed), newOwner("n2", seed)}}
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	for k.round = range rounds {
		k.live(t)
		k.stillborn(t)
		k.table(t)
		if t.Failed() {
			t.Fatalf("after kill %d, seed %d", k.round+1, seed)
		}
	}
	for _, o := range k.owners {
		t.Logf("%s: %d withdraws and %d announces acknowledged", o.name, o.acked[absent], o.acked[present])
		if o.acked[present] < 100*rounds || o.acked[absent] < 10*rounds {
			t.Error("too few for a test")
		}
	}
}

// live is one life of the server, from its start to its kill.
func (k *killing) live(t *testing.T) {
	k.s = serve(t, k.dir)
	k.probe = attachParty(t, k.s, "probe")
	k.probe.ask(t, "set", "<sessions xmlns='urn:patchbay:sessions:1' sync='all'><announce jid='probe@im.example/x'/></sessions>")
	restate := k.round%2 == 0 // else nobody restates: old incarnations stay, unconfirmed
	whole := k.round%4 == 0
	sent, gone := k.ask(t, whole)
	k.attach(t)
	for i, ids := range sent {
		eventually(t, "what waited for "+k.owners[i].name, func() bool { return len(k.owners[i].lacks(ids)) == 0 })
	}
	for _, l := range k.lives {
		k.begin(t, l, restate, whole)
	}
	if whole {
		eventually(t, "the word that withdrawn users are offline", func() bool { return k.offline(gone) })
	}
	var talking sync.WaitGroup
	for _, l := range k.lives {
		talking.Go(l.talk)
	}
	talking.Go(k.chatter)
	k.kill(t)
	talking.Wait()
	for _, o := range k.owners {
		o.killed()
		for _, f := range o.faults {
			t.Error(f)
		}
	}
	for _, e := range k.probe.refused("gone-") {
		t.Errorf("message %s", e)
	}
}

// ask sends messages to users of nodes that are not back yet, and sees that none is judged offline. With whole it
// sends to withdrawn users too: they are unknown until all nodes have said whom they hold.
func (k *killing) ask(t *testing.T, whole bool) (sent [][]string, gone []string) {
	t.Helper()
	if k.round == 0 {
		return nil, nil
	}
	for _, o := range k.owners {
		users := o.some(present, 300)
		for i := range steadyUsers {
			users = append(users, o.steady(i))
		}
		slices.Sort(users)
		ids, err := k.send(fmt.Sprintf("wait-%d-", k.round), slices.Compact(users))
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, ids)
		if whole {
			users = o.some(absent, 30)
			o.retire(users)
			ids, err := k.send("gone-", users)
			if err != nil {
				t.Fatal(err)
			}
			gone = append(gone, ids...)
		}
	}
	k.probe.ask(t, "get", "<ping xmlns='urn:xmpp:ping'/>")
	if errs := k.probe.refused(""); len(errs) > 0 {
		t.Errorf("%d messages to users whose nodes may come back are refused, e.g. %s", len(errs), errs[0])
	}
	return sent, gone
}

// send sends messages of the probe to users.
func (k *killing) send(prefix string, users []string) (ids []string, err error) {
	var all strings.Builder
	for _, user := range users {
		ids = append(ids, prefix+user)
		all.WriteString(chat(prefix+user, "probe@im.example/x", user+"@im.example/x", "there?"))
	}
	return ids, k.probe.say("%s", all.String())
}

func (k *killing) attach(t *testing.T) {
	t.Helper()
	k.lives = nil
	for _, o := range k.owners {
		l, err := o.attach(k.s)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.node.cut)
		k.lives = append(k.lives, l)
	}
}

// begin lets a node say what it has to say after an attach.
func (k *killing) begin(t *testing.T, l *life, restate, whole bool) {
	t.Helper()
	var err error
	switch {
	case k.round == 0:
		err = l.begin()
		eventually(t, "the first result", func() bool { return len(l.o.some(present, 1)) == 1 })
	case restate:
		err = l.restate()
	}
	if err != nil {
		t.Fatal(err)
	}
	if whole && k.round > 0 {
		wait(t, l.synced, "the end of a sync")
	}
}

// offline reports whether each of the messages was answered with <offline/>.
func (k *killing) offline(ids []string) bool {
	k.probe.mu.Lock()
	defer k.probe.mu.Unlock()
	for _, id := range ids {
		if !slices.ContainsFunc(k.probe.errors[id], isOffline) {
			return false
		}
	}
	return true
}

func isOffline(inner string) bool { return strings.Contains(inner, "<offline") }

// chatter sends to the steady users until the server dies.
func (k *killing) chatter() {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-k.probe.over:
			return
		}
		o := k.owners[i%2]
		if _, err := k.send(fmt.Sprintf("chat-%d-%d-", k.round, i), []string{o.steady(i % steadyUsers)}); err != nil {
			return
		}
	}
}

// kill waits for a random number of acknowledgements, and kills. In some rounds a node has left just before.
func (k *killing) kill(t *testing.T) {
	t.Helper()
	acked := func() (n int) {
		for _, o := range k.owners {
			o.mu.Lock()
			n += o.acked[absent] + o.acked[present]
			o.mu.Unlock()
		}
		return n
	}
	after := acked() + k.rng.IntN(2500)
	if k.round == 0 {
		after += 2500
	}
	eventually(t, "acknowledgements", func() bool { return acked() >= after })
	if k.round%4 == 3 {
		k.lives[1].node.cut()
		after += k.rng.IntN(500)
		eventually(t, "acknowledgements", func() bool { return acked() >= after })
	}
	k.s.kill()
	for _, l := range k.lives {
		wait(t, l.node.over, "the end of the connection")
	}
	wait(t, k.probe.over, "the end of the connection")
}

// stillborn kills a server somewhere in its start.
func (k *killing) stillborn(t *testing.T) {
	t.Helper()
	p := start(t, patchbay(t, k.dir))
	select {
	case <-time.After(time.Duration(k.rng.Int64N(int64(100 * time.Millisecond)))):
	case <-p.ended:
		t.Errorf("a start after a kill ends with %q", p.output())
	}
	p.kill()
}

// table opens the session table of the killed server and holds it against what the nodes know.
func (k *killing) table(t *testing.T) {
	t.Helper()
	s, err := storage.OpenSessions(storage.Options{Dir: filepath.Join(k.dir, "sessions"), Server: "hub1.im.example"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, o := range k.owners {
		rec, ok := s.NodeByDomain(o.name + ".im.example")
		if !ok {
			t.Fatalf("%s is not known", o.name)
		}
		for user, c := range o.users {
			found := s.Where([]byte(user + "@im.example"))
			switch {
			case len(found) > 1 || len(found) == 1 && (found[0].Node != rec.ID || found[0].JID != user+"@im.example/x"):
				t.Errorf("%s is %v", user, found)
			case c == present && len(found) == 0:
				t.Errorf("%s was announced, but is not known", user)
			case c == absent && len(found) == 1:
				t.Errorf("%s was withdrawn, but is there", user)
			}
		}
	}
	if err := s.ConsistencyCheck(); err != nil {
		t.Error(err)
	}
}
