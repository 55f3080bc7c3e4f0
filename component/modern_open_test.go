package component

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/patchbay-im/patchbay/stanza"
)

// streamFault is a server's answer to a header: its own, and a stream error.
func streamFault(condition string) string {
	return "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='s1'><stream:error><" + condition +
		" xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
}

// spoil replaces a part of what the server says at a step of SASL, whole all of it.
func spoil(step, old, new string) func(string, []byte) []byte {
	return func(at string, data []byte) []byte {
		if at != step {
			return data
		}
		return []byte(strings.Replace(string(data), old, new, 1))
	}
}

func whole(step, said string) func(string, []byte) []byte {
	return func(at string, data []byte) []byte {
		if at != step {
			return data
		}
		return []byte(said)
	}
}

const plainMechanism = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>"

// dialFailures are what answers that is not to be trusted, or does not take the node.
var dialFailures = []struct {
	name string
	set  func(f *fakeModern, cfg *Config)
	want string
}{
	{"wrong secret", func(_ *fakeModern, cfg *Config) { cfg.Secret = "another one of 16" }, "authenticate by SCRAM-SHA-256: not-authorized: the secret is another"},
	{"wrong signature", func(f *fakeModern, _ *Config) {
		f.spoil = whole("success", "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	}, errUnproved.Error()},
	{"no signature", func(f *fakeModern, _ *Config) { f.spoil = whole("success", "") }, errUnproved.Error()},
	{"another mechanism", func(f *fakeModern, _ *Config) { f.feature = plainMechanism }, "offers PLAIN"},
	{"TLS is wanted", func(f *fakeModern, _ *Config) { f.tls = &tls.Config{} }, errWantsTLS.Error()},
	{"no STARTTLS", func(_ *fakeModern, cfg *Config) { cfg.TLS, cfg.StartTLS = &tls.Config{}, true }, errNoTLS.Error()},
	{"no STARTTLS by XEP-0114", func(f *fakeModern, cfg *Config) {
		f.first.Store(streamFault("bad-format"))
		cfg.TLS, cfg.StartTLS = &tls.Config{}, true
	}, errNoTLS.Error()},
	{"few rounds", func(f *fakeModern, _ *Config) { f.rounds = fewestRounds - 1 }, `wants "4095" rounds of PBKDF2`},
	{"a bomb", func(f *fakeModern, _ *Config) { f.rounds = 2_000_000_000 }, `wants "2000000000" rounds of PBKDF2`},
	{"rounds that are no number", func(f *fakeModern, _ *Config) { f.spoil = spoil("challenge", "i=4096", "i=x") }, "rounds"},
	{"another nonce", func(f *fakeModern, _ *Config) { f.spoil = spoil("challenge", "r=", "r=x") }, "nonce"},
	{"the node's nonce only", func(f *fakeModern, _ *Config) {
		f.spoil = func(_ string, data []byte) []byte { // its half of r=
			r, rest, _ := strings.Cut(string(data), ",")
			return []byte(r[:2+len(r[2:])/2] + "," + rest)
		}
	}, "nonce"},
	{"no salt", func(f *fakeModern, _ *Config) { f.spoil = spoil("challenge", "s=c2FsdA==", "s=") }, "no salt"},
	{"an empty field", func(f *fakeModern, _ *Config) { f.spoil = whole("challenge", "a") }, "is not as SCRAM has it"},
	{"an extension", func(f *fakeModern, _ *Config) { f.spoil = spoil("challenge", "r=", "m=x,r=") }, "is not as SCRAM has it"},
	{"another conflict", func(f *fakeModern, _ *Config) { f.first.Store(streamFault("conflict")) }, "conflict"},
}

// Dial gives up at once when what answers is not to be trusted, or does not take the node; the secret is not proved to it.
func TestDialModernFails(t *testing.T) {
	for _, tt := range dialFailures {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, f *fakeModern) {
				cfg := f.config()
				tt.set(f, &cfg)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				begin := time.Now()
				n, err := Dial(ctx, cfg)
				if err == nil {
					n.Close()
					t.Fatal("attached")
				}
				if d := time.Since(begin); d != 0 && !strings.Contains(tt.want, "rounds") {
					t.Errorf("tried for %s", d)
				}
				contains(t, err.Error(), tt.want)
			})
		})
	}
}

// A server that does not take the header of a modern stream gets one as XEP-0114 has it, and is not asked again if it has
// said why. One that takes it is never asked the other way.
func TestDialFallsBack(t *testing.T) {
	tests := []struct{ name, first, dials, again string }{
		{"a stream error", streamFault("invalid-xml"), "modern plain", "plain"},
		{"a closed connection", "cut", "modern modern plain", "modern plain"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, f *fakeModern) {
				f.first.Store(tt.first)
				n, err := Dial(t.Context(), f.config())
				if err != nil {
					t.Fatal(err)
				}
				defer n.Close()
				if g := n.Grade(); g != GradePlain {
					t.Errorf("grade %q", g)
				}
				if got := f.dialed(); got != tt.dials {
					t.Errorf("dialed %q, want %q", got, tt.dials)
				}
				(<-f.links).conn.Close()
				l := <-f.links
				if got := f.dialed(); got != tt.again {
					t.Errorf("then %q, want %q", got, tt.again)
				}
				send(t, n, "x")
				contains(t, l.next(t).inner, "<body>x</body>")
			})
		})
	}
	play(t, func(t *testing.T, f *fakeModern) {
		_, l := f.attached(t, f.config())
		f.first.Store("cut")
		l.conn.Close()
		time.Sleep(20 * time.Second)
		if got := f.dialed(); strings.Contains(got, "plain") {
			t.Errorf("dialed %q", got)
		}
		f.first.Store("")
	})
	play(t, func(t *testing.T, f *fakeModern) {
		cfg := f.config()
		cfg.Plain = true
		n, err := Dial(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		n.Close()
		if got := f.dialed(); got != "plain" {
			t.Errorf("dialed %q", got)
		}
	})
}

// dialed gives how the node opened its streams since it was asked last.
func (f *fakeModern) dialed() string {
	var all []string
	for len(f.dials) > 0 {
		all = append(all, <-f.dials)
	}
	return strings.Join(all, " ")
}

// STARTTLS comes before anything that says more than the domain, and what authenticates is a certificate if there is one.
func TestStartTLSOfNode(t *testing.T) {
	tests := []struct {
		name, inject string
		certified    bool
		want         string // mechanism, or a part of the error
	}{
		{"SCRAM", "", false, "SCRAM-SHA-256"},
		{"a client certificate", "", true, "EXTERNAL"},
		{"plaintext behind <proceed/>", "<stream:features/>", false, errPlaintext.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, func(t *testing.T, f *fakeModern) {
				cert, pool := certificate(t)
				f.tls, f.inject = &tls.Config{Certificates: []tls.Certificate{cert}}, tt.inject
				cfg := f.config()
				cfg.TLS, cfg.StartTLS = &tls.Config{RootCAs: pool}, true
				if tt.certified {
					cfg.Secret, cfg.TLS.Certificates = "", []tls.Certificate{cert}
				}
				go func() {
					select {
					case l := <-f.links:
						l.enable(t, "id1")
					case <-t.Context().Done():
					}
				}()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				n, err := Dial(ctx, cfg)
				if err != nil {
					contains(t, err.Error(), tt.want)
				} else {
					n.Close()
				}
				synctest.Wait()
				if tt.inject == "" && (err != nil || f.gave != tt.want) || tt.inject != "" && f.gave != "" {
					t.Errorf("authenticated by %q: %v", f.gave, err)
				}
			})
		})
	}
}

// STARTTLS with a certificate that is not the server's ends there.
func TestStartTLSOfAnother(t *testing.T) {
	play(t, func(t *testing.T, f *fakeModern) {
		cert, _ := certificate(t)
		f.tls = &tls.Config{Certificates: []tls.Certificate{cert}}
		cfg := f.config()
		cfg.TLS, cfg.StartTLS = &tls.Config{}, true
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := Dial(ctx, cfg)
		var unknown x509.UnknownAuthorityError
		if !errors.As(err, &unknown) || f.gave != "" {
			t.Errorf("got %v, authenticated by %q", err, f.gave)
		}
	})
}

// The vector of RFC 7677 section 3, and what is remembered of it.
func TestScramVector(t *testing.T) {
	s := salted{secret: []byte("pencil")}
	c, err := readChallenge([]byte("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), []byte("rOprNGfwEbeRWgbNEkqO"))
	if err != nil {
		t.Fatal(err)
	}
	got := s.answer(c, []byte("n=user,r=rOprNGfwEbeRWgbNEkqO"), []byte("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"))
	if string(got.final) != "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=" ||
		string(got.verifier) != "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" {
		t.Errorf("got %s, %s", got.final, got.verifier)
	}
	s.secret = nil // what is remembered needs it no more
	if again := s.key(c); string(again) != string(s.keys["4096 "+string(c.salt)]) || len(s.keys) != 1 {
		t.Error("the salted secret is made twice")
	}
	for i := range 3 * mostSalted {
		s.keys[fmt.Sprint(i)] = nil
		if s.key(challenge{salt: []byte{byte(i)}, rounds: fewestRounds}); len(s.keys) > mostSalted {
			t.Fatalf("%d are remembered", len(s.keys))
		}
	}
}

// What waiting does not mend ends Dial, what it may does not.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&wire.StreamError{Condition: "host-unknown"}, true},
		{&wire.StreamError{Condition: "system-shutdown"}, false},
		{fmt.Errorf("attach: %w", &Failure{Condition: "not-authorized"}), true},
		{fmt.Errorf("attach: %w", &Failure{Condition: "temporary-auth-failure"}), false},
		{errors.Join(errors.New("connection refused"), fmt.Errorf("attach: %w", errNoTLS)), true},
		{errors.New("connection refused"), false},
	} {
		if got := refused(c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}
