package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// idleLinks is how many links the memory of one is measured on.
const idleLinks = 2000

// BenchmarkIdle is the memory of the server for one link on which nothing happens, goroutines and their stacks included.
func BenchmarkIdle(b *testing.B) {
	noproof := proofEnv + "=off"
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			b.ReportMetric(0, "ns/op")
			reportIdle(b, "", start(b, "patchbay"), (*child).dialPlain)
			reportIdle(b, "acked-", acked(b), (*child).dialPlain)
			reportIdle(b, "noproof-", start(b, "patchbay", noproof), (*child).dialPlain)
			reportIdle(b, "nats-", start(b, "nats"), (*child).dialPlain)
		}
	})
	b.Run("tls", func(b *testing.B) {
		dir := b.TempDir()
		env := tlsEnv + "=" + dir
		trust := &tls.Config{RootCAs: certificate(b, dir), ServerName: benchServer, MinVersion: tls.VersionTLS13}
		dial := func(c *child) (net.Conn, error) { return tls.Dial("tcp", c.tls, trust) }
		for b.Loop() {
			b.ReportMetric(0, "ns/op")
			reportIdle(b, "", start(b, "patchbay", env), dial)
			reportIdle(b, "acked-", acked(b, env), dial)
			c := acked(b, env)
			c.modern.StartTLS = trust
			reportIdle(b, "acked-starttls-", c, (*child).dialPlain)
			reportIdle(b, "noproof-", start(b, "patchbay", env, noproof), dial)
			reportIdle(b, "nats-", start(b, "nats", env), dial)
		}
	})
}

// reportIdle reports the memory of a link of one server, which it stops.
func reportIdle(b *testing.B, prefix string, c *child, dial func(c *child) (net.Conn, error)) {
	b.Helper()
	left, collected := idle(c, dial)
	b.ReportMetric(left/1024, prefix+"KiB/link")
	b.ReportMetric(collected/1024, prefix+"KiB/link-after-gc")
}

// idle gives the growth of the server's RSS for one link: as the server leaves it, and after a garbage collection that
// gives free memory back.
func idle(c *child, dial func(c *child) (net.Conn, error)) (left, collected float64) {
	defer c.stop()
	open := func() (net.Conn, error) { return dial(c) }
	defer answer(c.links(Range{Lo: idleLinks, N: atOnce}, open)).Close()
	c.tell("gc")
	c.settle()
	before := c.memory()
	defer answer(c.links(Range{N: idleLinks}, open)).Close()
	c.settle()
	after := c.memory()
	c.tell("gc")
	c.settle()
	return float64(after-before) / idleLinks, float64(c.memory()-before) / idleLinks
}

// certificate writes a certificate of the server and its key to dir, and gives who trusts it.
func certificate(tb testing.TB, dir string) *x509.CertPool {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{benchServer}, IsCA: true,
		BasicConstraintsValid: true, NotAfter: time.Now().Add(30 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, text := range map[string][]byte{
		"cert.pem": certPEM, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return pool
}

// BenchmarkSessions is the memory of the session table's index for one session, of a million.
func BenchmarkSessions(b *testing.B) {
	for b.Loop() {
		c := start(b, "patchbay", sampleEnv+"=4096")
		before := c.tell("gc").Index
		take := c.link(takeNode)
		announce(b, take, "u", spread)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(c.tell("gc").Index-before)/spread, "index-B/session")
		hangUp([]*Link{take})
	}
}

// BenchmarkAnnounce is the rate of announces by the bulk statement, committed to disk, and of announces that confirm
// what the table holds.
func BenchmarkAnnounce(b *testing.B) {
	const sessions = 300_000
	for b.Loop() {
		c := start(b, "patchbay", dataEnv+"="+b.TempDir())
		link := c.link(takeNode)
		made := timed(c, func() { announce(b, link, "u", sessions) }, sessions)
		confirmed := timed(c, func() { announce(b, link, "u", sessions) }, sessions)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(made.rate, "new/s")
		b.ReportMetric(made.cpu/1e3, "us-cpu/new")
		b.ReportMetric(confirmed.rate, "confirms/s")
		b.ReportMetric(confirmed.cpu/1e3, "us-cpu/confirm")
		hangUp([]*Link{link})
		c.stop()
	}
}

func timed(c *child, do func(), n float64) figures {
	cpu, began := c.cpu(), time.Now()
	do()
	return figures{rate: n / time.Since(began).Seconds(), cpu: float64(c.cpu()-cpu) / n}
}

// BenchmarkRestart loads a server with five million sessions, stops it, and measures how long it takes from the start of
// its process until the first stanza arrives at one of them.
func BenchmarkRestart(b *testing.B) {
	sessions := 5_000_000
	if testing.Short() {
		sessions /= 10
	}
	for b.Loop() {
		data := dataEnv + "=" + b.TempDir()
		c := start(b, "patchbay", data)
		link := c.link(takeNode)
		announce(b, link, "u", sessions)
		c.tell("gc")
		c.settle()
		loaded := c.memory()
		hangUp([]*Link{link})
		c.stop()

		s := scene{from: sendNode, to: userAddress, size: 250, names: Names{To: Range{N: sessions}}}
		began := time.Now()
		r := s.busy(b, start(b, "patchbay", data))
		if _, err := r.load.Run(1); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-to-first-stanza")
		b.ReportMetric(float64(loaded)/(1<<20), "MiB-loaded")
	}
}
