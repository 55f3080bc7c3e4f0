package storage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// mailText is the i-th message that childMail sends to a user; each 50th is of many parts.
func mailText(user string, i int) []byte {
	b := fmt.Appendf(nil, "%s %d.", user, i)
	if i%50 == 49 {
		b = append(b, bytes.Repeat([]byte{byte('a' + i%26)}, 5*partMost+i)...)
	}
	return b
}

// childMail sends without end to four users, and deletes the older messages of two of them. It writes a line for what is on disk:
// "has", user,
// how many have been sent, how many of them deleted; and before a deletion "will", user, 0, how many will be.
func childMail(dir string) {
	f, err := OpenOffline(OfflineOptions{Dir: dir})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var out sync.Mutex
	for g := range 4 {
		go func() {
			user := fmt.Sprintf("user%d", g)
			sent, deleted, numbers := mailState(f, user, g%2*1e9)
			say := func(what string, sent int) {
				out.Lock()
				fmt.Println(what, user, sent, deleted)
				out.Unlock()
			}
			for {
				for range 1 + sent%7 {
					n, err := f.Put([]byte(user), NodeID(g), mailText(user, sent), Keep{})
					if err != nil {
						return
					}
					sent, numbers = sent+1, append(numbers, n)
				}
				if g%2 == 1 {
					old := numbers[:len(numbers)/2]
					numbers = numbers[len(old):]
					deleted += len(old)
					say("will", 0)
					f.Delete([]byte(user), old)
				}
				if f.commits.flush() == nil {
					say("has", sent)
				}
			}
		}()
	}
	select {}
}

// mailState is where childMail was when it was killed. Only messages before tried may be missing among the others: one that is
// deleted before its commit never comes to the disk, and its elders may be there again.
func mailState(f *Offline, user string, tried int) (sent, deleted int, numbers []uint64) {
	for {
		after := uint64(0)
		if len(numbers) > 0 {
			after = numbers[len(numbers)-1]
		}
		got, err := f.Read([]byte(user), after, 100)
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		if len(got) == 0 {
			return sent, deleted, numbers
		}
		for _, m := range got {
			head, _, _ := strings.Cut(string(m.Raw), ".")
			var i int
			if _, err := fmt.Sscanf(head, user+" %d", &i); err != nil || !bytes.Equal(m.Raw, mailText(user, i)) ||
				len(numbers) > 0 && (i < sent || i > max(sent, tried) || m.Number <= numbers[len(numbers)-1]) {
				fmt.Printf("error %s: after %d messages there is %.60q\n", user, sent, m.Raw)
				os.Exit(1)
			}
			if len(numbers) == 0 {
				deleted = i
			}
			sent, numbers = i+1, append(numbers, m.Number)
		}
	}
}

// TestOfflineKill: what was on disk before a SIGKILL is there after it, what was deleted is not; what is there of the rest is its
// begin, in order and whole.
func TestOfflineKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queues")
	type state struct{ sent, deleted int }
	acked, tried := map[string]state{}, map[string]int{}
	for round := range 4 {
		cmd, lines := child(t, dir, "mail")
		for n := 0; lines.Scan(); n++ {
			if strings.HasPrefix(lines.Text(), "error") {
				t.Fatal(lines.Text())
			}
			var what, user string
			var s state
			if _, err := fmt.Sscan(lines.Text(), &what, &user, &s.sent, &s.deleted); err != nil {
				t.Fatal(lines.Text())
			}
			if what == "will" {
				tried[user] = s.deleted
				continue
			}
			acked[user] = s
			if n >= 200*(round+1) {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait()
		f := opened(t, OfflineOptions{Dir: dir})
		for user, want := range acked {
			sent, deleted, _ := mailState(f, user, tried[user])
			if sent < want.sent || deleted < want.deleted {
				t.Errorf("round %d: of %s %d to %d are there, %d to %d were on disk", round, user, deleted, sent, want.deleted, want.sent)
			}
		}
		finished(t, f)
	}
	if len(acked) != 4 || acked["user0"].sent < 100 || acked["user1"].deleted == 0 {
		t.Errorf("too little was done: %v", acked)
	}
}

// TestOfflineHalf: of a message of many parts a kill leaves parts without the record, whether it was being put or deleted. They are
// removed, and hide nothing.
func TestOfflineHalf(t *testing.T) {
	dir := t.TempDir()
	f := opened(t, OfflineOptions{Dir: dir})
	keep(t, f, "a", []byte("one"))
	n := keep(t, f, "b", make([]byte, 3*partMost))
	keep(t, f, "b", []byte("two"))
	finished(t, f)
	spoil(t, dir, func(txn *badger.Txn) error {
		return errors.Join(txn.Delete(appendMessageKey(nil, "b", n, 0)),
			txn.Set(appendMessageKey(nil, "a", n+1, 2), []byte("part")), txn.Set(appendMessageKey(nil, "A", 1, 1), []byte("part")))
	})
	f = opened(t, OfflineOptions{Dir: dir})
	if st := f.Stats(); st.Loaded != 2 || st.Bytes != 6 {
		t.Errorf("got %+v", st)
	}
	if got := mail(t, f, "b"); len(got) != 1 || string(got[0].Raw) != "two" {
		t.Errorf("got %v", got)
	}
	for _, user := range []string{"A", "a", "b"} {
		err := f.walkMailbox([]byte(user), 0, func(k messageKey, _ *badger.Item) (bool, error) {
			if k.part > 0 {
				t.Errorf("%s: part %d is left", user, k.part)
			}
			return true, nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// spoil changes a database behind the store's back.
func spoil(t *testing.T, dir string, change func(*badger.Txn) error) {
	t.Helper()
	db, err := openBadger(dir, &badgerLog{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(change); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOfflineBadRecords: what no kill can leave is damage.
func TestOfflineBadRecords(t *testing.T) {
	const bad = "one"
	message := appendMessage(1, make([]byte, 2*partMost+5))
	set := func(key, value []byte) func(*badger.Txn) error {
		return func(txn *badger.Txn) error { return txn.Set(key, value) }
	}
	for name, change := range map[string]func(*badger.Txn) error{
		"a part is missing":        func(txn *badger.Txn) error { return txn.Delete(appendMessageKey(nil, bad, 5, 1)) },
		"the last part is missing": func(txn *badger.Txn) error { return txn.Delete(appendMessageKey(nil, bad, 5, 2)) },
		"a part is short":          set(appendMessageKey(nil, bad, 5, 2), []byte("1234")),
		"a part too many":          set(appendMessageKey(nil, bad, 5, 3), []byte("x")),
		"no head":                  set(appendMessageKey(nil, bad, 6, 0), []byte("1234567")),
		"wrong length":             set(appendMessageKey(nil, bad, 6, 0), append(appendMessage(1, []byte("abc")), 'd')),
		"first part is short":      set(appendMessageKey(nil, bad, 5, 0), message[:100]),
		"a key without a number":   set([]byte("f\x00one\x00123"), message[:messageHead+partMost]),
		"a key without a user":     set([]byte("f\x00\x0012345678"), message[:messageHead+partMost]),
		"a key with part 0":        set([]byte("f\x00one\x0012345678\x00\x00"), message[:messageHead+partMost]),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			spoil(t, dir, func(txn *badger.Txn) error {
				return errors.Join(txn.Set(appendMessageKey(nil, bad, 5, 0), message[:messageHead+partMost]),
					txn.Set(appendMessageKey(nil, bad, 5, 1), message[:partMost]), txn.Set(appendMessageKey(nil, bad, 5, 2), message[:5]))
			})
			finished(t, opened(t, OfflineOptions{Dir: dir})) // so far it is well
			spoil(t, dir, change)
			f, err := OpenOffline(OfflineOptions{Dir: dir})
			if err == nil {
				t.Errorf("it opens: %+v", f.Stats())
				finished(t, f)
			} else if !strings.Contains(err.Error(), "the database is damaged (") || !strings.HasSuffix(err.Error(), offlineLoss) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// childFillMail stores until two seconds after the first refusal, and says whether the disk ever had less than the reserve,
// and what was taken.
func childFillMail(dir string) {
	f, err := OpenOffline(OfflineOptions{Dir: dir, OnFail: func(err error) { fmt.Println("failed", err) }})
	if err != nil {
		fmt.Println("open", err)
		os.Exit(1)
	}
	size, _ := strconv.Atoi(filepath.Base(dir))
	least, over, ended := uint64(1<<62), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
			free, _, _ := space(dir)
			least = min(least, free)
			select {
			case <-over:
				return
			default:
			}
		}
	}()
	taken, end := 0, time.Time{}
	for end.IsZero() || time.Now().Before(end) {
		_, err := f.Put(fmt.Appendf(nil, "user%d", taken%10), 1, bytes.Repeat([]byte{'x'}, size), Keep{})
		switch {
		case err == nil:
			taken++
		case err != ErrNoSpace || f.commits.flush() != nil:
			fmt.Println("put", err)
			os.Exit(1)
		case end.IsZero():
			end = time.Now().Add(2 * time.Second)
		}
	}
	flushed := f.commits.flush()
	close(over)
	<-ended
	fmt.Println(flushed, least >= reserve, taken)
	fmt.Println(f.Close())
	os.Exit(0)
}

// TestOfflineFullDisk: before the disk is full messages are refused; those that were taken are there, and what the database
// does with them does not come near the reserve.
func TestOfflineFullDisk(t *testing.T) {
	for _, c := range []struct{ disk, size, least int }{{300, 5000, 5000}, {300, 60000, 500}, {400, 60000, 1000}} {
		t.Run(fmt.Sprintf("%d MiB, messages of %d", c.disk, c.size), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), strconv.Itoa(c.size))
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", c.disk)); err != nil {
				t.Skipf("needs the right to mount a small file system: %v", err)
			}
			t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
			_, lines := child(t, dir, "fill with mail")
			var said []string
			for lines.Scan() {
				said = append(said, lines.Text())
			}
			var taken int
			if len(said) != 2 || said[1] != "<nil>" {
				t.Fatalf("got %q", said)
			}
			if _, err := fmt.Sscanf(said[0], "<nil> true %d", &taken); err != nil || taken < c.least {
				t.Fatalf("got %q", said)
			}
			f := opened(t, OfflineOptions{Dir: dir})
			if got := f.Stats().Loaded; got != taken {
				t.Errorf("%d messages of %d that were taken", got, taken)
			}
			finished(t, f)
		})
	}
}
