package routing

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"slices"

	"github.com/patchbay-im/patchbay/storage"
)

// A block on disk:
//
//	form u8, flags u8, since i64 (microseconds since 1970), stanzas u32, users u32
//	users: userHash u32 each, rising
//	stanzas: size u32, class u8, origin u32, at u32, came u32 each
//	the stanzas, one behind the other
const (
	blockForm = 1
	blockHead = 1 + 1 + 8 + 4 + 4
	blockRec  = 4 + 1 + 4 + 4 + 4
)

// flags of a block on disk.
const (
	flagLate    = 1 << iota // block.late
	flagLetters             // there are letters among its stanzas
)

var errBlock = errors.New("a block of stanzas has a wrong form")

// keeps reports whether stanzas of a class are kept on disk. Requests never are; groups are taken apart first. Letters are in the
// offline store, too: in a block they keep their place among what was queued before and behind them.
func (c class) keeps() bool { return c == classKeep || c == classShared || c == classStored }

// encode gives a block as the disk has it, with a note of whose stanzas are in it; nil if it has none to keep.
func (b *block) encode() []byte {
	if slices.ContainsFunc(b.recs[b.over:], func(r rec) bool { return r.class == classGroup }) {
		b.users = nil
		return b.apart().encode()
	}
	n, size, others, flags := 0, 0, false, byte(0)
	users := []uint32{}
	b.eachUnproved(func(raw []byte, r rec) {
		if !r.class.keeps() {
			others = others || r.class != classMoved
			return
		}
		n, size = n+1, size+len(raw)
		if r.class == classStored {
			flags = flagLetters
		}
		if to, ok := addressee(raw); ok && len(to.Local()) > 0 {
			users = append(users, userHash(to.Bare()))
		}
	})
	b.users = nil
	if n == 0 {
		return nil
	}
	slices.Sort(users)
	users = slices.Compact(users)
	if !others {
		b.users = users
	}
	v := make([]byte, 0, blockHead+4*len(users)+blockRec*n+size)
	if b.late {
		flags |= flagLate
	}
	v = append(v, blockForm, flags)
	v = binary.BigEndian.AppendUint64(v, uint64(b.since/1000))
	v = binary.BigEndian.AppendUint32(v, uint32(n))
	v = binary.BigEndian.AppendUint32(v, uint32(len(users)))
	for _, u := range users {
		v = binary.BigEndian.AppendUint32(v, u)
	}
	for _, r := range b.recs[b.over:] {
		if r.class.keeps() {
			v = binary.BigEndian.AppendUint32(v, r.size)
			v = append(v, byte(r.class))
			v = binary.BigEndian.AppendUint32(v, uint32(r.origin))
			v = binary.BigEndian.AppendUint32(v, r.at)
			v = binary.BigEndian.AppendUint32(v, r.came)
		}
	}
	b.eachUnproved(func(raw []byte, r rec) {
		if r.class.keeps() {
			v = append(v, raw...)
		}
	})
	return v
}

// decodeHead reads what a block's value begins with; head may be cut behind it, and then the users are not known. size is that
// of the whole value. It gives where the stanzas' records begin.
func (b *block) decodeHead(head []byte, size int) (recs int, err error) {
	if len(head) < blockHead || head[0] != blockForm {
		return 0, errBlock
	}
	b.late = b.late || head[1]&flagLate != 0
	b.letters = head[1]&flagLetters != 0
	b.since = 1000 * int64(binary.BigEndian.Uint64(head[2:]))
	b.count = int(binary.BigEndian.Uint32(head[10:]))
	users := int(binary.BigEndian.Uint32(head[14:]))
	recs = blockHead + 4*users
	b.size = size - recs - blockRec*b.count
	if b.count <= 0 || b.size <= 0 || users > b.count {
		return 0, errBlock
	}
	b.users = nil
	if len(head) >= recs {
		b.users = make([]uint32, users)
		for i := range b.users {
			b.users[i] = binary.BigEndian.Uint32(head[blockHead+4*i:])
		}
	}
	return recs, nil
}

// decode fills a block from its value.
func (b *block) decode(value []byte) error {
	at, err := b.decodeHead(value, len(value))
	if err != nil {
		return err
	}
	recs, sum := make([]rec, b.count), 0
	for i := range recs {
		v := value[at+blockRec*i:]
		recs[i] = rec{size: binary.BigEndian.Uint32(v), class: class(v[4]), origin: storage.NodeID(binary.BigEndian.Uint32(v[5:])),
			at: binary.BigEndian.Uint32(v[9:]), came: binary.BigEndian.Uint32(v[13:])}
		if sum += int(recs[i].size); !recs[i].class.keeps() || recs[i].size == 0 {
			return errBlock
		}
	}
	raw := value[at+blockRec*b.count:]
	if sum != len(raw) {
		return errBlock
	}
	b.b, b.recs, b.index = bytes.Clone(raw), recs, nil // the value may be on its way to the disk
	b.off, b.done, b.next, b.over, b.passed = 0, 0, 0, 0, 0
	return nil
}

// plain makes an ordinary stanza of a letter: it is not stored any more.
func (r *rec) plain() { r.class, r.came = classKeep, 0 }

// plain makes ordinary stanzas of the letters in a block that the disk gave back: those that have not arrived were in memory.
func (b *block) plain() {
	for i := range b.recs {
		if b.recs[i].class == classStored {
			b.recs[i].plain()
		}
	}
}

// userHash is what a block on disk knows a bare JID by: the same on every start.
func userHash(bare []byte) uint32 {
	h := fnv.New32a()
	_, _ = h.Write(bare) // never fails (hash.Hash)
	return h.Sum32()
}

// mayHave reports whether stanzas for a user may be in a block that is on disk only.
func (b *block) mayHave(user uint32) bool {
	if b.users == nil {
		return true
	}
	_, found := slices.BinarySearch(b.users, user)
	return found
}

// stampFrom puts a delay into each stanza that waits, but for iqs and for those that have one (XEP-0203 section 2). Nobody
// writes the block, and nothing of it is written.
func (b *block) stampFrom(server string) {
	out := make([]byte, 0, len(b.b)+len(b.recs)*(90+len(server)))
	i := b.next
	b.each(func(raw []byte, r rec) {
		from := len(out)
		if bytes.HasPrefix(raw, []byte("<iq")) {
			out = append(out, raw...)
		} else {
			out = appendDelayed(out, raw, delay{server, b.when(r)})
		}
		b.recs[i].size = uint32(len(out) - from)
		i++
	})
	b.b, b.recs, b.index = out, b.recs[b.next:], nil
	b.off, b.done, b.next, b.over, b.passed = 0, 0, 0, 0, 0
	b.turns++
}
