package admin

import (
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/internal/admin/api"
)

// clock is a time that stands until it is moved.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// TestWrongTokens: five wrong tokens of an address, then one a second; others are not concerned, and a right one costs
// nothing.
func TestWrongTokens(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	l := newLimits(c.now)
	guess := func(from string) bool {
		_, wait := l.try(netip.MustParseAddr(from))
		return wait == 0
	}
	for range 100 {
		right, wait := l.try(netip.MustParseAddr("192.0.2.1"))
		if wait > 0 {
			t.Fatal("a right token is counted")
		}
		right()
	}
	for i := range 7 {
		if got := guess("192.0.2.1"); got != (i < wrongBurst) {
			t.Errorf("guess %d: %v", i, got)
		}
	}
	if !guess("192.0.2.2") || !guess("2001:db8::1") {
		t.Error("another address is held back")
	}
	for range wrongBurst - 1 {
		guess("2001:db8::2") // the same /64
	}
	if guess("2001:db8::3") {
		t.Error("a machine has as many guesses as addresses")
	}
	if _, wait := l.try(netip.MustParseAddr("192.0.2.1")); wait > time.Second || seconds(wait) != 1 {
		t.Errorf("wait %v", wait)
	}
	c.at = c.at.Add(time.Second)
	if !guess("192.0.2.1") || guess("192.0.2.1") {
		t.Error("not one guess a second")
	}
}

// TestWrongTokensNearby: whoever shows wrong tokens on this machine does not shut out who has the right one there; through
// a proxy there is no such right.
func TestWrongTokensNearby(t *testing.T) {
	st := newStage(t)
	wrong := withHeader("Authorization", "Bearer "+api.TokenPrefix+"0123456789abcdef")
	proxied := withHeader("X-Forwarded-For", "192.0.2.1")
	for i := range 2 * wrongBurst {
		want := http.StatusUnauthorized
		if i >= wrongBurst {
			want = http.StatusTooManyRequests
		}
		if got := st.ask(http.MethodGet, api.PathStatus, "", wrong); got.StatusCode != want {
			t.Errorf("wrong token %d: %s", i, got.Status)
		}
	}
	if got := st.ask(http.MethodGet, api.PathStatus, "", st.withToken); got.StatusCode != http.StatusOK {
		t.Errorf("the right token: %s", got.Status)
	}
	if got := st.ask(http.MethodGet, api.PathStatus, "", st.withToken, proxied); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the right token through a proxy: %s", got.Status)
	}
}

// TestSuspectsAreBounded: an attacker with many addresses fills no memory.
func TestSuspectsAreBounded(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	l := newLimits(c.now)
	for i := range 3 * mostSuspects {
		l.try(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
		if len(l.suspects) > mostSuspects {
			t.Fatalf("%d addresses", len(l.suspects))
		}
	}
}

// TestRates: what is too much is answered 429 with a time, and the next second goes on. Probes are not counted.
func TestRates(t *testing.T) {
	st := dark(t)
	var n atomic.Int32
	st.a.table = newRoutes(append(append([]operation{}, operations...), planted(&n)))
	c := &clock{time.Now()}
	*st.a.limits = *newLimits(c.now)
	if err := st.a.Start(); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		method, path, body string
		most               int
	}{
		{"GET", api.PathStatus, "", readsPerSecond},
		{"POST", api.Prefix + "/planted", "{}", changesPerSecond},
	} {
		served := 0
		for range x.most + 5 {
			got := st.ask(x.method, x.path, x.body, st.withToken)
			switch got.StatusCode {
			case http.StatusOK:
				served++
			case http.StatusTooManyRequests:
				if s, err := strconv.Atoi(got.Header.Get("Retry-After")); err != nil || s < 1 {
					t.Errorf("Retry-After %q", got.Header.Get("Retry-After"))
				}
			default:
				t.Fatal(got.Status)
			}
		}
		if served != x.most {
			t.Errorf("%s %s: %d of %d were served", x.method, x.path, served, x.most)
		}
		if got := st.ask("GET", "/healthz", ""); got.StatusCode != http.StatusOK {
			t.Errorf("a probe: %s", got.Status)
		}
		c.at = c.at.Add(time.Second)
		if got := st.ask(x.method, x.path, x.body, st.withToken); got.StatusCode != http.StatusOK {
			t.Errorf("a second later: %s", got.Status)
		}
	}
}
