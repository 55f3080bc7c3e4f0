package routing

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What is asked, in which form, and what is said of the peer: a link on which nothing is written, by the beat's steps.
func TestBarrierGrades(t *testing.T) {
	for _, c := range []struct {
		name    string
		known   bool // an earlier link has answered
		other   bool // in the other form
		full    int  // pings that are open from the start
		blocked [2]time.Duration
		reply   string // the moment, and which ping
		want    string
	}{
		{name: "never", want: "0s plain, 5s client, 10s written, 1m10s client, 2m10s plain"},
		{name: "at once", reply: "0.5 1", want: "0s plain, 500ms proved"},
		{name: "behind five seconds of work", reply: "5.5 1", want: "0s plain, 5s client, 5.5s proved, 5.5s plain"},
		{name: "in the other form", reply: "5.5 2", want: "0s plain, 5s client, 5.5s proved"},
		{name: "when it was given up", reply: "40 1", want: "0s plain, 5s client, 10s written, 40s proved"},
		{name: "when it was asked again", reply: "71 3", want: "0s plain, 5s client, 10s written, 1m10s client, 1m11s proved"},
		{name: "shut", blocked: [2]time.Duration{2 * time.Second, 22 * time.Second}, want: "0s plain, 25s client, 30s written, 1m30s client"},
		{name: "known", known: true, want: "0s plain, 5s client"},
		{name: "known, and slow", known: true, reply: "100 1", want: "0s plain, 5s client, 1m40s proved, 1m40s plain"},
		{name: "known in the other form", known: true, other: true, reply: "0.5 1", want: "0s client, 500ms proved"},
		{name: "known in the other form, and another program now", known: true, other: true, reply: "5.5 2", want: "0s client, 5s plain, 5.5s proved"},
		{name: "flooded", full: pingsOpen, want: strings.Repeat("0s plain, ", pingsOpen) + "5s client, 10s written, 1m10s client, 2m10s plain"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b barrier
			b.known, b.explicit = c.known, c.other
			b.start("hub", "node", false, 0)
			log := []string{}
			say := func(now time.Duration, what string) { log = append(log, now.String()+" "+what) }
			ask := func(now time.Duration) {
				form := "plain"
				if strings.HasPrefix(string(b.ask(nil, 0, int64(now))), "<iq xmlns='jabber:client' type='get'") {
					form = "client"
				}
				say(now, form)
			}
			for range max(1, c.full) {
				ask(0)
			}
			for now := beatEach; now <= 140*time.Second; now += beatEach {
				was := b.grade
				b.tick(int64(now), 0, 0, now > c.blocked[0] && now <= c.blocked[1])
				if at, number, _ := strings.Cut(c.reply, " "); at == fmt.Sprint(now.Seconds()) {
					if _, is := b.answer([]byte(b.head+number), int64(now)); !is {
						t.Errorf("ping %s is not open: %+v", number, b.open)
					}
				}
				if b.grade != was {
					say(now, b.grade.String())
				}
				if b.due(0, 0) {
					ask(now)
				}
			}
			if got := strings.Join(log, ", "); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// What replies prove. wN: N stanzas are written. a: a ping. rK=N: the reply to ping K proves N. rK!: it is none. c, or nothing at
// the end: a closing ping is due, or none.
func TestBarrierProves(t *testing.T) {
	for _, play := range []string{
		"a r1=0 w10 a r2=0 c a r3=10",
		"w10 a r1=0 w5 a r2=10 c a r3=15",
		"w10 a w10 a r1=0 c r2=0 c a r3=20",     // both were on their way before a reply was read
		"w10 a w10 a r2=0 r1! c a r3=20",        // a reply that was left out
		"w10 a r1=0 r1! c a w5 a r2=10 r3=10 c", // the first reply only
		"w10 a r1=0 a w5 a w5 a r4=10 r2! r3! c a r5=20",
		"w10 a r1=0 a a a r2=10 r3=10 r4=10",
		"w10 r1! a r01=0 c", // a number is one however it is written
	} {
		t.Run(play, func(t *testing.T) {
			var b barrier
			b.start("hub", "node", false, 0)
			written, proved := uint64(0), uint64(0)
			closing := false
			for _, step := range strings.Fields(play) {
				closing = false
				switch step[0] {
				case 'w':
					n, _ := strconv.Atoi(step[1:])
					written += uint64(n)
				case 'a':
					b.ask(nil, written, 0)
				case 'c':
					closing = true
				case 'r':
					id, want, none := strings.Cut(step[1:], "!")
					if none = none && want == ""; !none {
						id, want, _ = strings.Cut(step[1:], "=")
					}
					got, is := b.answer([]byte(b.head+id), 0)
					if is == none || is && strconv.FormatUint(got, 10) != want {
						t.Fatalf("%s: it proves %d, %v", step, got, is)
					}
					proved = max(proved, got)
				}
				if closing != b.closing(proved) && (closing || step == strings.Fields(play)[len(strings.Fields(play))-1]) {
					t.Errorf("at %s a closing ping is due: %v; proved %d, %+v", step, !closing, proved, b)
				}
			}
		})
	}
}

func TestBarrierDue(t *testing.T) {
	for _, c := range []struct {
		name          string
		b             barrier
		open          int
		stanzas, size int
		want          bool
	}{
		{"little", barrier{grade: GradeProved}, 0, 1, 100, false},
		{"nothing", barrier{grade: GradeProved, stanzas: 500, bytes: 1 << 20}, 0, 0, 0, false},
		{"128 stanzas", barrier{grade: GradeProved, stanzas: 127}, 7, 1, 100, true},
		{"127 stanzas", barrier{grade: GradeProved, stanzas: 126}, 7, 1, 100, false},
		{"a quarter of the window", barrier{grade: GradeProved, bytes: 60 << 10}, 0, 1, 4 << 10, true},
		{"less", barrier{grade: GradeProved, bytes: 60 << 10}, 0, 1, 4<<10 - 1, false},
		{"eight are open", barrier{grade: GradeProved, stanzas: 127, want: true}, 8, 1, 100, false},
		{"wanted", barrier{grade: GradeProved, want: true}, 7, 0, 0, true},
		{"probing", barrier{grade: GradeProbing, stanzas: 127}, 7, 1, 100, true},
		{"probing, eight are open", barrier{grade: GradeProbing, stanzas: 127}, 8, 1, 100, false},
		{"probing, the other form", barrier{grade: GradeProbing, want: true}, 8, 0, 0, true},
		{"written", barrier{grade: GradeWritten, stanzas: 1000, bytes: 1 << 20}, 0, 1, 100, false},
		{"written, asked again", barrier{grade: GradeWritten, want: true}, 8, 0, 0, true},
		{"off", barrier{grade: GradeWritten, want: true, off: true}, 0, 1000, 1 << 20, false},
	} {
		b := c.b
		b.window, b.open = windowStart, make([]ping, c.open)
		if got := b.due(c.stanzas, c.size); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// Time asks for a ping: behind a stanza that none follows, for what is answered and not proved, and if all is silent.
func TestBarrierLate(t *testing.T) {
	ms := func(n int) int64 { return int64(n) * int64(time.Millisecond) }
	for _, c := range []struct {
		name            string
		b               barrier
		now             int64
		written, proved uint64
		want            bool
	}{
		{"50 ms", barrier{last: 5, first: ms(1000), asked: ms(900)}, ms(1050), 6, 5, true},
		{"less", barrier{last: 5, first: ms(1000), asked: ms(900)}, ms(1049), 6, 5, false},
		{"soon after the last", barrier{last: 5, first: ms(1000), asked: ms(1000)}, ms(1149), 6, 5, false},
		{"not so soon", barrier{last: 5, first: ms(1000), asked: ms(1000)}, ms(1150), 6, 5, true},
		{"closing", barrier{last: 5, answered: 5, asked: ms(1000)}, ms(1100), 5, 3, true},
		{"closing, soon", barrier{last: 5, answered: 5, asked: ms(1000)}, ms(1099), 5, 3, false},
		{"closing is on its way", barrier{last: 5, answered: 5, asked: ms(1000), open: []ping{{carries: 5}}}, ms(1100), 5, 3, false},
		{"all is proved", barrier{last: 5, answered: 5, asked: ms(1000)}, ms(60_000), 5, 5, false},
		{"silent for 5 s", barrier{last: 5, asked: ms(1000), open: []ping{{boundary: 5}}}, ms(6000), 5, 3, true},
		{"for less", barrier{last: 5, asked: ms(1000), open: []ping{{boundary: 5}}}, ms(5999), 5, 3, false},
	} {
		if got := c.b.late(c.now, c.written, c.proved); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestBarrierWindow(t *testing.T) {
	for _, c := range []struct {
		window int
		took   time.Duration
		shut   bool
		want   int
	}{
		{windowStart, 10 * time.Millisecond, true, 2 * windowStart},
		{windowStart, 10 * time.Millisecond, false, windowStart},
		{windowStart, 50 * time.Millisecond, true, windowStart},
		{windowStart, time.Second, true, windowStart},
		{windowStart, 1001 * time.Millisecond, true, windowStart / 2},
		{windowStart, 1001 * time.Millisecond, false, windowStart / 2},
		{windowMost, 10 * time.Millisecond, true, windowMost},
		{windowMost - 1, 10 * time.Millisecond, true, windowMost},
		{windowLeast, time.Minute, true, windowLeast},
		{windowLeast + 1, time.Minute, true, windowLeast},
	} {
		b := barrier{window: c.window, shut: c.shut}
		if b.adapt(int64(c.took)); b.window != c.want || b.shut {
			t.Errorf("%d after %v, shut %v: %d, shut %v", c.window, c.took, c.shut, b.window, b.shut)
		}
	}
	for _, c := range []struct {
		grade Grade
		want  int
	}{{GradeProbing, windowMost - 1000}, {GradeProved, windowStart - 1000}, {GradeWritten, 1 << 30}} {
		if b := (barrier{grade: c.grade, window: windowStart}); b.room(1000) != c.want {
			t.Errorf("%s: room for %d", c.grade, b.room(1000))
		}
	}
}

// Ids that answer no ping, and do nothing.
func TestBarrierForeign(t *testing.T) {
	var b, other barrier
	b.start("hub", "node", false, 0)
	other.start("hub", "node", false, 0)
	b.ask(nil, 0, 0)
	for _, id := range []string{"", "1", "pb-", b.head, other.head + "1", b.head + "2", b.head + "-1", b.head + "+1", b.head + "1 ", b.head + "1a", b.head + "0x1",
		b.head + strings.Repeat("9", 30), strings.ToUpper(b.head) + "1", " " + b.head + "1"} {
		if _, is := b.answer([]byte(id), 1); is || b.grade != GradeProbing || len(b.open) != 1 {
			t.Errorf("%q answers a ping", id)
		}
	}
	if len(b.head) != len("pb-")+16+1 || b.head == other.head {
		t.Errorf("heads %q and %q", b.head, other.head)
	}
	if first := string(b.ask(nil, 0, 0)); !slices.Equal(strings.Split(first, b.head), []string{"<iq type='get' id='", "2' from='hub' to='node'><ping xmlns='urn:xmpp:ping'/></iq>"}) {
		t.Errorf("a ping is %s", first)
	}
}
