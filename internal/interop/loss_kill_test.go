package interop

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// TestKillNode kills receivers at random moments while messages come, with requests between them: a library that answers
// a request may read on before the handlers of earlier messages have begun. No message whose handler never began is
// missing after the return. PATCHBAY_KILLS says how many kills, and PATCHBAY_SEED repeats a run.
func TestKillNode(t *testing.T) {
	kills, seed := number(t, "PATCHBAY_KILLS", sparing(1, 5)), number(t, "PATCHBAY_SEED", rand.Uint64())
	t.Logf("%d kills, PATCHBAY_SEED=%d", kills, seed)
	for i, r := range receivers {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			m := &murder{receiver: r, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
			m.run(t, int(kills))
		})
	}
}

// sparing gives how often something is done: less often in the short tests.
func sparing(short, otherwise int) uint64 {
	if testing.Short() {
		return uint64(short)
	}
	return uint64(otherwise)
}

// number gives a number that the environment may set.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// murder is a receiver that is killed again and again.
type murder struct {
	receiver
	rng *rand.Rand
	j   *journal
	snd *sender
}

func (m *murder) run(t *testing.T, kills int) {
	s := serve(t, t.TempDir())
	m.j, m.snd = openJournal(t), newSender(t, s, receiverDomain, 100)
	for range kills {
		m.life(t, m.attach(t, s))
	}
	last := m.attach(t, s)
	m.snd.send(t, 1)
	m.j.hears(t, m.snd)
	last.quits(t)
	m.snd.quits(t)
	m.j.read(t)
	a := &account{journal: m.j, sent: m.snd.sent, size: m.snd.size, refusals: m.snd.refused()}
	a.log(t)
	a.lost(t)
	if len(a.streams) != kills+1 {
		t.Errorf("%d streams have begun", len(a.streams))
	}
	s.stop(t)
}

func (m *murder) attach(t *testing.T, s *server) *listener {
	t.Helper()
	l := m.open(t, s, receiving{log: m.j.file.Name(), stop: readsOn})
	l.does(t, "attach", "attached")
	return l
}

// life lets a receiver handle some messages, and kills it. A quarter of them dies at once.
func (m *murder) life(t *testing.T, l *listener) {
	t.Helper()
	m.j.read(t)
	begun, sent := m.j.total, m.snd.sent
	target := begun
	if m.rng.IntN(4) > 0 {
		target += 1 + m.rng.IntN(1500)
	}
	m.j.until(t, "messages", func() bool {
		lost := m.j.total == begun // or nothing has come yet
		for m.snd.sent < m.j.last()+3000 || lost && m.snd.sent < sent+100 {
			m.feed(t)
		}
		return m.j.total >= target
	})
	<-time.After(time.Duration(m.rng.IntN(2000)) * time.Microsecond)
	l.kill()
}

// feed sends some messages, and a request behind them.
func (m *murder) feed(t *testing.T) {
	t.Helper()
	m.snd.send(t, 1+m.rng.IntN(100))
	err := m.snd.say("<iq type='get' id='q%d' from='%s' to='%s'><q xmlns='urn:example:q'/></iq>", m.snd.sent, senderDomain, receiverDomain)
	if err != nil {
		t.Fatal(err)
	}
}
