package routing

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/storage"
)

// errHandles is what the disk says for a while.
var errHandles = fmt.Errorf("open a file: %w", syscall.EMFILE)

// What the disk does not give for a while is not lost: it is asked for again, and the log says so once. What is gone, or damaged, is
// lost, and only that.
func TestUnread(t *testing.T) {
	for _, c := range []struct {
		name string
		play func(k *keptbed)
	}{
		{"at the return", unreadAtReturn},
		{"at two returns", unreadAtTwo},
		{"for a user who moves", unreadMoves},
		{"at the end of the grace", unreadExpires},
		{"damaged", func(k *keptbed) {
			k.disk.broken = fmt.Errorf("%w: a checksum is wrong", storage.ErrDamaged)
			if _, err := k.q.takeHead(); err != nil {
				t.Error(err)
			}
			k.counts(0, 0)
			if n := k.q.stats().Broken; n != 2 {
				t.Errorf("%d are lost", n)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeptbed(t, 1<<20, true)
			for _, id := range []string{"m1", "m2"} {
				k.put(chat(id, "u1@im", 10), rec{})
				k.pass(time.Second)
			}
			k.counts(2, 2)
			c.play(k)
			if len(k.logged) != 2 { // that it cannot be read, and that it can; or for each block that is lost
				t.Errorf("logged: %q", k.logged)
			}
			k.logged = nil
			if err := k.q.audit(); err != nil {
				t.Error(err)
			}
		})
	}
}

func unreadAtReturn(k *keptbed) {
	k.disk.broken = errHandles
	k.attach(1 << 30)
	k.pass(5 * time.Second)
	k.writers.Wait()
	k.counts(2, 2)
	k.disk.broken = nil
	k.comes("m1", "m2")
}

func unreadAtTwo(k *keptbed) {
	k.disk.broken = errHandles
	k.attach(1 << 30)
	k.writers.Wait()
	k.detach()
	k.disk.broken = nil
	k.attach(1 << 30)
	k.comes("m1", "m2")
}

func unreadMoves(k *keptbed) {
	k.disk.broken = errHandles
	if got := k.take("u1@im/x"); got != "" {
		k.t.Errorf("took %q", got)
	}
	k.counts(2, 2)
	k.disk.broken = nil
	if got := k.take("u1@im/x"); got != "m1 m2" {
		k.t.Errorf("took %q", got)
	}
}

func unreadExpires(k *keptbed) {
	k.disk.broken = errHandles
	closes := func() { k.t.Error("it was closed") }
	for range 3 {
		if b, err := k.q.takeOrClose(closes); b != nil || err == nil {
			k.t.Errorf("took %v (%v)", b, err)
		}
	}
	k.counts(2, 2)
	k.disk.broken = nil
	for range 2 {
		if b, err := k.q.takeOrClose(closes); b == nil || err != nil || len(b.recs) != 1 {
			k.t.Errorf("took %v (%v)", b, err)
		}
	}
}

// comes holds that all that waited comes.
func (k *keptbed) comes(want ...string) {
	k.t.Helper()
	k.pass(time.Second)
	k.writers.Wait()
	k.counts(0, 0)
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	var got []string
	for _, m := range ids.FindAllStringSubmatch(string(k.w.got), -1) {
		got = append(got, m[1])
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		k.t.Errorf("came %v, want %v", got, want)
	}
}
