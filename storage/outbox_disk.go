package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strconv"
)

// A segment is a file of the outbox: a head, and then records, one for each block. A record is
//
//	state u8, 0 u8, bytes of the target u16, of the value u32, number u64, sequence u64, where its group begins u32,
//	CRC-32C of the value u32, CRC-32C of all that but the state, and of the target u32, the target, the value
//
// with integers in big-endian order. The state is alive until one byte is written over it; nothing else is ever written twice, so
// no deletion needs room. Of two records of one target and number that are alive the one with the higher sequence counts: a
// block was put again, or moved to another segment, and a kill came before the older one was marked. A group is what was written
// between two syncs: a torn write is in the last group of the last segment.
const (
	segmentHead = 8  // "pbout", 0, the version of the format u16
	blockHead   = 36 // of a record, before the target
	segmentSize = 16 << 20
	segmentExt  = ".out"

	stateAlive = 0xb1
	stateDead  = 0xb0

	maxTarget = 1023 // bytes of a domainpart: RFC 7622 3.2
	maxBlock  = 32 << 20
)

var segmentMagic = []byte("pbout\x00\x00\x01")

// blockRecord is the head of a block in a segment.
type blockRecord struct {
	alive  bool
	target []byte // borrowed
	size   int    // bytes of the value
	number uint64
	seq    uint64
	group  uint32
	sum    uint32 // of the value
}

// length is that of the whole record.
func (r blockRecord) length() int64 { return int64(blockHead + len(r.target) + r.size) }

func appendRecord(b []byte, r blockRecord) []byte {
	from := len(b)
	b = append(b, stateAlive, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.target)))
	b = binary.BigEndian.AppendUint32(b, uint32(r.size))
	b = binary.BigEndian.AppendUint64(b, r.number)
	b = binary.BigEndian.AppendUint64(b, r.seq)
	b = binary.BigEndian.AppendUint32(b, r.group)
	b = binary.BigEndian.AppendUint32(b, r.sum)
	sum := crc32.Update(crc32.Checksum(b[from+1:], castagnoli), castagnoli, r.target)
	return append(binary.BigEndian.AppendUint32(b, sum), r.target...)
}

// parseRecord reads the head and the target at the begin of b; ok is false if there is no whole one.
func parseRecord(b []byte) (r blockRecord, ok bool) {
	if len(b) < blockHead || b[0] != stateAlive && b[0] != stateDead || b[1] != 0 {
		return r, false
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n == 0 || n > maxTarget || len(b) < blockHead+n {
		return r, false
	}
	r = blockRecord{
		alive:  b[0] == stateAlive,
		target: b[blockHead : blockHead+n],
		size:   int(binary.BigEndian.Uint32(b[4:])),
		number: binary.BigEndian.Uint64(b[8:]),
		seq:    binary.BigEndian.Uint64(b[16:]),
		group:  binary.BigEndian.Uint32(b[24:]),
		sum:    binary.BigEndian.Uint32(b[28:]),
	}
	sum := crc32.Update(crc32.Checksum(b[1:blockHead-4], castagnoli), castagnoli, r.target)
	return r, r.size <= maxBlock && sum == binary.BigEndian.Uint32(b[blockHead-4:])
}

func sumOf(value []byte) uint32 { return crc32.Checksum(value, castagnoli) }

func segmentName(dir string, id uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%08x%s", id, segmentExt))
}

// segmentID is the inverse of segmentName; false for a file of another kind.
func segmentID(name string) (id uint64, ok bool) {
	name = filepath.Base(name)
	if filepath.Ext(name) != segmentExt {
		return 0, false
	}
	id, err := strconv.ParseUint(name[:len(name)-len(segmentExt)], 16, 64)
	return id, err == nil && filepath.Base(segmentName("", id)) == name
}

// beyond reports whether a record of a group that begins behind a place is in b.
func beyond(b []byte, place int64) bool {
	for _, state := range []byte{stateAlive, stateDead} {
		for at := 0; ; at++ {
			i := bytes.Index(b[at:], []byte{state, 0})
			if i < 0 {
				break
			}
			at += i
			if r, ok := parseRecord(b[at:]); ok && int64(r.group) > place {
				return true
			}
		}
	}
	return false
}
