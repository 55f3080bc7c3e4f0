//go:build unix

package stanza

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"
)

// samples are the stanzas that the figures are given for.
func samples() []struct{ name, in string } {
	message := func(body string) string {
		return `<message to='alice@im.example/phone' from='bob@im.example/pc' id='m-0123456789' type='chat'><body>` + body +
			`</body><request xmlns='urn:xmpp:receipts'/><origin-id xmlns='urn:xmpp:sid:0' id='m-0123456789'/></message>`
	}
	ascii := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 400)
	cyrillic := strings.Repeat("Съешь ещё этих мягких французских булок, да выпей чаю. ", 12)
	return []struct{ name, in string }{
		{"250B", message(ascii[:250-len(message(""))])},
		{"1KB", message(ascii[:1024])},
		{"16KB", message(ascii[:16<<10])},
		{"Cyrillic1KB", message(strings.ToValidUTF8(cyrillic[:1024], ""))},
	}
}

func cpu() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// measure reports processor time beside the wall clock: on a busy machine only the first means something.
func measure(b *testing.B, size int, op func()) {
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	t := cpu()
	for range b.N {
		op()
	}
	b.ReportMetric(float64(cpu()-t)/float64(b.N), "cpu-ns/op")
}

// BenchmarkScanner gives the cost of one stanza in a batch, with the floor of a search for '<' and '>' that
// checks nothing, and that of the standard library's UTF-8 check alone.
func BenchmarkScanner(b *testing.B) {
	for _, c := range samples() {
		b.Run(c.name, func(b *testing.B) {
			batch := bytes.Repeat([]byte(c.in), max(1, 64<<10/len(c.in)))
			s := NewScanner(Limits{})
			var h Header
			if _, _, err := s.Next([]byte(head), &h); err != nil {
				b.Fatal(err)
			}
			rest := batch
			measure(b, len(c.in), func() {
				tok, n, err := s.Next(rest, &h)
				if tok != Element {
					b.Fatal(tok, err)
				}
				if rest = rest[n:]; len(rest) == 0 {
					rest = batch
				}
			})
		})
		b.Run(c.name+"/floor", func(b *testing.B) {
			in := []byte(c.in)
			measure(b, len(in), func() {
				for i := 0; i < len(in); {
					i += bytes.IndexByte(in[i:], '<')
					k := bytes.IndexByte(in[i:], '>')
					i += k + 1
				}
			})
		})
		b.Run(c.name+"/utf8", func(b *testing.B) {
			in := []byte(c.in)
			measure(b, len(in), func() {
				if !utf8.Valid(in) {
					b.Fatal("sample is not UTF-8")
				}
			})
		})
	}
}

func BenchmarkParseAddress(b *testing.B) {
	for _, c := range []struct{ name, in string }{
		{"full", "alice@im.example/phone"}, {"domain", "node1.im.example"}, {"slow", "Алиса@им.example/телефон"},
	} {
		b.Run(c.name, func(b *testing.B) {
			raw, scratch := []byte(c.in), make([]byte, 0, 256)
			measure(b, len(raw), func() {
				if _, _, err := ParseAddress(raw, false, scratch); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

func BenchmarkAppendEdited(b *testing.B) {
	in := strings.Replace(samples()[0].in, "<message", "<message xmlns='jabber:component:accept'", 1)
	h := scanOne(b, head, in)
	dst := make([]byte, 0, 1024)
	e := &Edit{From: []byte("bob@im.example/pc"), Lang: "en"}
	measure(b, len(in), func() { dst = h.AppendEdited(dst[:0], e) })
}

// BenchmarkWalk visits a session iq of 1000 items and reads each jid.
func BenchmarkWalk(b *testing.B) {
	in := `<iq type='set' id='1'><sessions xmlns='urn:patchbay:sessions:1'>` +
		strings.Repeat(`<announce jid='alice@im.example/phone' priority='0'/>`, 1000) + `</sessions></iq>`
	h := scanOne(b, head, in)
	measure(b, len(in), func() {
		n := 0
		for w := h.Walk(); w.Next(); {
			if string(w.Local()) == "announce" && string(w.Space()) == NSSessions {
				if _, _, ok := w.Attr("jid"); ok {
					n++
				}
			}
		}
		if n != 1000 {
			b.Fatal(n)
		}
	})
}

// BenchmarkNamespaces gives the cost of stanzas of the greatest length that are made to be dear: many prefixes to look
// through, and many attributes of one local name in long namespaces.
func BenchmarkNamespaces(b *testing.B) {
	declare := func(uri string, n int) (open, end string) {
		for i := range n {
			if i%32 == 0 {
				open, end = strings.TrimSuffix(open, " ")+"<a ", end+"</a>"
			}
			open += fmt.Sprintf("xmlns:p%03d='%s%d'", i, uri, i)
			if open += " "; i%32 == 31 || i == n-1 {
				open = strings.TrimSuffix(open, " ") + ">"
			}
		}
		return open, end
	}
	twins := "<a"
	for i := range 64 {
		twins += fmt.Sprintf(" p%03d:x=''", i)
	}
	for _, c := range []struct {
		name, uri, fill string
		n               int
	}{
		{"prefixes", "u", "<p000:a/>", maxBindings},
		{"attributes", "&amp;" + strings.Repeat("u", 400), twins + "/>", 64},
	} {
		b.Run(c.name, func(b *testing.B) {
			open, end := declare(c.uri, c.n)
			in := "<message>" + open
			in += strings.Repeat(c.fill, (DefaultLimits.Stanza-len(in)-len(end)-10)/len(c.fill)) + end + "</message>"
			stanza := []byte(in)
			s, h := NewScanner(Limits{}), new(Header)
			if _, _, err := s.Next([]byte(head), h); err != nil {
				b.Fatal(err)
			}
			measure(b, len(in), func() {
				if tok, _, err := s.Next(stanza, h); tok != Element || err != nil {
					b.Fatal(tok, err)
				}
			})
		})
	}
}
