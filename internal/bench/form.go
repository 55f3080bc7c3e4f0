package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Markers stand in a template where digits go. They are control characters, so no stanza has them by chance.
var (
	FromDigits = strings.Repeat("\x01", nameDigits) // 7 decimal digits: who sends
	ToDigits   = strings.Repeat("\x02", nameDigits) // 7 decimal digits: who receives
	Number     = strings.Repeat("\x03", 12)         // 12 hex digits: 4 of the sending link, 8 that rise by one
)

const (
	nameDigits  = 7
	linkDigits  = 4
	countDigits = 8
)

// Form is one kind of numbered frame: what is sent, and what the other end gets for it. Set once.
type Form struct {
	sent     []byte
	from, to int // where digits are in sent, -1: nowhere
	number   int

	size     int // of a frame as it arrives
	arrives  int // where its number is
	head     []byte
	tail     []byte
	tailFrom int
}

// NewForm makes a Form from templates of a frame as it is sent and as it arrives. Each frame that arrives begins
// with head, which nothing else on the link does, and ends with tail.
func NewForm(sent, arrives, head, tail string) *Form {
	f := &Form{sent: []byte(sent), from: strings.Index(sent, FromDigits), to: strings.Index(sent, ToDigits),
		number: strings.Index(sent, Number), size: len(arrives), arrives: strings.Index(arrives, Number),
		head: []byte(head), tail: []byte(tail), tailFrom: len(arrives) - len(tail)}
	for _, at := range []struct{ at, n int }{{f.from, nameDigits}, {f.to, nameDigits}, {f.number, linkDigits + countDigits}} {
		if at.at >= 0 {
			copy(f.sent[at.at:], bytes.Repeat([]byte{'0'}, at.n))
		}
	}
	return f
}

// Size is the bytes of one frame as it arrives.
func (f *Form) Size() int { return f.size }

// errForm ends a load: what arrived is not what was sent.
var errForm = errors.New("read frame: it does not end where it must")

// parse reads the number of the frame at the start of b, which has at least Size bytes.
func (f *Form) parse(b []byte) (link, count uint32, err error) {
	if string(b[f.tailFrom:f.size]) != string(f.tail) {
		return 0, 0, fmt.Errorf("%w: %.300q", errForm, b[:f.size])
	}
	at := b[f.arrives:]
	return hexValue(at[:linkDigits]), hexValue(at[linkDigits : linkDigits+countDigits]), nil
}

func hexValue(b []byte) (v uint32) {
	for _, c := range b {
		v = v<<4 | uint32(c&15) + uint32(c>>6)*9 // 0-9 are 0x30 up, a-f are 0x61 up
	}
	return v
}

const hexDigits = "0123456789abcdef"

func putHex(b []byte, v uint32) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = hexDigits[v&15]
		v >>= 4
	}
}

func putDecimal(b []byte, v uint32) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
}
