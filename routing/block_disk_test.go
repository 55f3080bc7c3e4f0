package routing

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// drawBlock gives a block in which some stanzas are written, and some of a class that the disk does not keep.
func drawBlock(t *rapid.T) *block {
	b := newBlock(0)
	b.since = int64(rapid.Int64Range(0, 1<<50).Draw(t, "since")) * 1000
	b.late = rapid.Bool().Draw(t, "late")
	for i := range rapid.IntRange(0, 20).Draw(t, "stanzas") {
		to := rapid.SampledFrom([]string{"u1@im/r", "u2@im", "im", "node", "x<"}).Draw(t, "to")
		raw := fmt.Sprintf("<message to='%s' id='%d'>%s</message>", to, i, bytes.Repeat([]byte("x"), rapid.IntRange(0, 300).Draw(t, "size")))
		b.b = append(b.b, raw...)
		b.recs = append(b.recs, rec{size: uint32(len(raw)), class: class(rapid.IntRange(0, int(classAnswer)).Draw(t, "class")),
			origin: storage.NodeID(rapid.Uint32().Draw(t, "origin")), at: rapid.Uint32().Draw(t, "at"), came: rapid.Uint32().Draw(t, "came")})
	}
	for range rapid.IntRange(0, len(b.recs)).Draw(t, "written") {
		b.advance(int(b.recs[b.next].size))
	}
	for range rapid.IntRange(0, b.next).Draw(t, "proved") {
		b.passed += int(b.recs[b.over].size)
		b.over++
	}
	return b
}

// What the disk has of a block is what of it waits and is to be kept.
func TestBlockOnDisk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBlock(t)
		value := b.encode()
		var raws []byte
		var recs []rec
		users := map[uint32]bool{}
		b.eachUnproved(func(raw []byte, r rec) {
			if r.class != classKeep && r.class != classShared && r.class != classStored {
				return
			}
			raws, recs = append(raws, raw...), append(recs, r)
			if to, ok := addressee(raw); ok && len(to.Local()) > 0 {
				users[userHash(to.Bare())] = true
			}
		})
		if len(recs) == 0 {
			if value != nil {
				t.Fatalf("a block with nothing in it: %x", value)
			}
			return
		}
		got, head := &block{}, &block{}
		if err := got.decode(value); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.b, raws) || !slices.Equal(got.recs, recs) || got.since != b.since || got.late != b.late {
			t.Fatalf("%+v\nis not what was written: %+v", got, b)
		}
		for u := range users {
			if !got.mayHave(u) {
				t.Fatalf("it does not know user %d: %d", u, got.users)
			}
		}
		if len(got.users) != len(users) || got.mayHave(userHash([]byte("nobody@im"))) {
			t.Fatalf("it knows %d, of %v", got.users, users)
		}
		cut := value[:rapid.IntRange(0, len(value)).Draw(t, "head")]
		_, err := head.decodeHead(cut, len(value))
		if whole := len(cut) >= blockHead; whole != (err == nil) || whole && (head.count != len(recs) || head.size != len(raws)) {
			t.Fatalf("of a head of %d bytes: %d stanzas, %d bytes, %v", len(cut), head.count, head.size, err)
		}
		if err == nil && slices.ContainsFunc(got.users, func(u uint32) bool { return !head.mayHave(u) }) {
			t.Fatalf("a head that is cut knows %d of %d", head.users, got.users)
		}
	})
}

// hostileBlock gives a value that says so many stanzas and users.
func hostileBlock(stanzas, users uint32, rest int) []byte {
	v := binary.BigEndian.AppendUint64([]byte{blockForm, 0}, 0)
	v = binary.BigEndian.AppendUint32(v, stanzas)
	v = binary.BigEndian.AppendUint32(v, users)
	return append(v, make([]byte, rest)...)
}

// passes reports whether the stanzas of a block are such as links send.
func passes(b *block) (ok bool) {
	ok = true
	b.each(func(raw []byte, _ rec) {
		sc, h := stanza.NewScanner(stanza.DefaultLimits), &stanza.Header{}
		_, _, _ = sc.Next([]byte(rootTag), h)
		tok, n, err := sc.Next(raw, h)
		ok = ok && tok == stanza.Element && n == len(raw) && err == nil
	})
	return ok
}

// A block that was changed on disk is refused, or is one: it is never more than its bytes.
func FuzzBlock(f *testing.F) {
	b := &block{}
	for _, c := range []class{classKeep, classShared, classRequest, classStored} {
		raw := "<message to='u1@im' id='1'/>"
		b.b, b.recs = append(b.b, raw...), append(b.recs, rec{size: uint32(len(raw)), class: c})
	}
	value := b.encode()
	f.Add(value, 0)
	f.Add(value[:len(value)-1], 7)
	f.Add(append(slices.Clone(value), 'x'), 1<<20)
	for _, n := range []uint32{0, 1, 2, 1 << 20, 1 << 28, 1<<32 - 1} {
		f.Add(hostileBlock(n, 0, 40), int(n))
		f.Add(hostileBlock(1, n, 40), int(n)*4)
		f.Add(hostileBlock(n, n, 40), 1<<40)
	}
	f.Fuzz(func(t *testing.T, value []byte, more int) {
		head := &block{}
		if _, err := head.decodeHead(value, len(value)+max(0, more)); err == nil {
			if head.count <= 0 || head.size <= 0 || 4*len(head.users) > len(value) || head.count > (len(value)+max(0, more))/blockRec {
				t.Fatalf("%d bytes are a head of %d stanzas with %d bytes, for %d users", len(value), head.count, head.size, len(head.users))
			}
		}
		b := &block{}
		if b.decode(value) != nil {
			return
		}
		size := 0
		for _, r := range b.recs {
			size += int(r.size)
		}
		if size != len(b.b) || len(b.recs) != b.count || blockRec*cap(b.recs)+len(b.b)+4*len(b.users) > 2*len(value) {
			t.Fatalf("%d bytes are %d stanzas of %d bytes in %d, for %d users", len(value), len(b.recs), size, len(b.b), len(b.users))
		}
		if !passes(b) {
			return // a checksum keeps such bytes from here
		}
		again := &block{}
		if v := b.encode(); again.decode(v) != nil || !bytes.Equal(again.b, b.b) || !slices.Equal(again.recs, b.recs) {
			t.Fatalf("it is another when it is written again: %x", v)
		}
	})
}

// What is small on disk takes no memory when it says that it is large.
func TestBlockHostile(t *testing.T) {
	for _, n := range []uint32{1 << 10, 1 << 20, 1<<32 - 1} {
		for _, v := range [][]byte{hostileBlock(n, 0, 100), hostileBlock(1, n, 100), hostileBlock(n, n, 100)} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range 1000 {
				if (&block{}).decode(v) == nil {
					t.Fatal("it was taken")
				}
			}
			runtime.ReadMemStats(&after)
			grown := (after.TotalAlloc - before.TotalAlloc) / 1000
			if grown > 1000 {
				t.Errorf("%d stanzas, %x...: %d bytes of memory", n, v[:blockHead], grown)
			}
		}
	}
}
