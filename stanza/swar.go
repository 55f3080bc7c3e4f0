package stanza

import (
	"encoding/binary"
	"math/bits"
)

// Eight bytes are looked at as one word ("SIMD within a register"). Subtracting from every byte sets its high
// bit when it was smaller, and the borrow can only disturb bytes above one that is itself a hit: the lowest
// hit is exact, which is all that is used.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// textStops marks the bytes that text must not run over unseen: < > & controls and non-ASCII.
// '<' (0x3C) and '>' (0x3E) differ in one bit, so one comparison finds both.
func textStops(x uint64) uint64 {
	return ((x - 0x20*ones) | ((x | 0x02*ones) ^ 0x3E*ones - ones) | (x ^ 0x26*ones - ones) | x) & highs
}

func load(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }

// textRun gives the index of the first byte from i on that textStops marks, or len(b).
func textRun(b []byte, i int) int {
	for k := 0; k < 4 && len(b)-i >= 8; k++ {
		if m := textStops(load(b, i)); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for len(b)-i >= 32 {
		p := b[i : i+32]
		if textStops(load(p, 0))|textStops(load(p, 8))|textStops(load(p, 16))|textStops(load(p, 24)) != 0 {
			break
		}
		i += 32
	}
	for len(b)-i >= 8 {
		if m := textStops(load(b, i)); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for i < len(b) && class[b[i]]&isText != 0 {
		i++
	}
	return i
}

// cdataRun is textRun for CDATA sections, where only '>' can end anything.
func cdataRun(b []byte, i int) int {
	for len(b)-i >= 8 {
		x := load(b, i)
		if m := ((x - 0x20*ones) | (x ^ 0x3E*ones - ones) | x) & highs; m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for i < len(b) && b[i] >= 0x20 && b[i] < 0x80 && b[i] != '>' {
		i++
	}
	return i
}

// valueRun is textRun for attribute values between quotes q.
func valueRun(b []byte, i int, q byte) int {
	quotes := uint64(q) * ones
	for len(b)-i >= 8 {
		x := load(b, i)
		if m := ((x - 0x20*ones) | (x ^ 0x3C*ones - ones) | (x ^ 0x26*ones - ones) | (x ^ quotes - ones) | x) & highs; m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for i < len(b) && class[b[i]]&isValue != 0 {
		i++
	}
	return i
}

// A word of four two-byte characters: lead bytes 110xxxxx, trail bytes 10xxxxxx; the lead bytes C0 and C1
// would be overlong forms and have none of the bits 0x1E.
const (
	pairMask = 0xC0E0C0E0C0E0C0E0
	pairWant = 0x80C080C080C080C0
	leadBits = 0x001E001E001E001E
	leadCarr = 0x007F007F007F007F
	leadHigh = 0x0080008000800080
)

// utf8Run goes over whole, valid non-ASCII characters from i on, and over single bytes of the class between
// them: words of Cyrillic, Greek or Hebrew with their spaces. It stops before whatever needs a closer look.
func utf8Run(b []byte, i int, plain uint8) int {
	for {
		for len(b)-i >= 8 {
			x := load(b, i)
			if x&pairMask != pairWant || (x&leadBits+leadCarr)&leadHigh != leadHigh {
				break
			}
			i += 8
		}
		if len(b)-i < 3 {
			return i
		}
		c, d := b[i], b[i+1]
		switch {
		case c < 0x80:
			if d < 0x80 || class[c]&plain == 0 {
				return i
			}
			i++
		case c >= 0xC2 && c < 0xE0 && d&0xC0 == 0x80:
			i += 2
		case c > 0xE0 && c < 0xEF && c != 0xED && d&0xC0 == 0x80 && b[i+2]&0xC0 == 0x80:
			i += 3
		default:
			return i
		}
	}
}
