package server

import (
	"crypto/sha1"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/config"
)

// pausedServer is one with a node whose errors are to go to its disk.
func pausedServer(t *testing.T) (s *Server, cfg *config.Config) {
	t.Helper()
	cfg, err := config.Development(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen.Component, cfg.Listen.HTTP, cfg.Timers.Ping = "127.0.0.1:0", "", 100*time.Millisecond
	cfg.Limits.Queue, cfg.Limits.Memory = 64<<10, 8<<20
	log := logrus.New()
	log.SetOutput(io.Discard)
	if s, err = New(cfg, Options{Log: logrus.NewEntry(log)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s, cfg
}

// join attaches under a domain, as far as the server answers, and gives that answer.
func join(t *testing.T, s *Server, domain, secret string) (net.Conn, string) {
	t.Helper()
	conn, err := net.Dial("tcp", s.ComponentAddr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='%s'>", domain)
	head := until(t, conn, ">", 2)
	id := regexp.MustCompile(` id='([^']*)'`).FindStringSubmatch(head)
	if id == nil {
		t.Fatalf("no id in %s", head)
	}
	fmt.Fprintf(conn, "<handshake>%x</handshake>", sha1.Sum([]byte(id[1]+secret)))
	return conn, until(t, conn, ">", 1)
}

// until reads byte by byte until something has come so many times.
func until(t *testing.T, conn net.Conn, what string, times int) string {
	t.Helper()
	var got []byte
	for one := make([]byte, 1); strings.Count(string(got), what) < times; got = append(got, one[0]) {
		if _, err := conn.Read(one); err != nil {
			t.Fatalf("%v behind %s", err, got)
		}
	}
	return string(got)
}

// TestPausedLink: while the server does not read a link because the disk is behind, it does not hold the silence against the
// peer: neither the keep-alive ends the link, nor does a newcomer get its name. When the disk goes on the link does, too, and a stop
// does not wait for it.
func TestPausedLink(t *testing.T) {
	t.Parallel()
	s, cfg := pausedServer(t)
	gate := make(chan struct{})
	domain, secret := "node1."+cfg.Users[0], string(cfg.Nodes[0].Secret[0])
	conn, said := join(t, s, domain, secret)
	if !strings.HasPrefix(said, "<handshake/>") {
		t.Fatal(said)
	}
	hung := make(chan struct{})
	if err := s.queues.Outbox().Put("other", 1, []byte("x"), func(error) { close(hung); <-gate }); err != nil { // a disk that hangs
		t.Fatal(err)
	}
	<-hung
	flood := strings.Repeat(fmt.Sprintf("<message from='%s' to='x@nowhere.example' id='m'/>", domain), 1000)
	poured := make(chan struct{})
	go func() { // ends with the connection
		defer close(poured)
		for range 200 {
			if _, err := io.WriteString(conn, flood); err != nil {
				return
			}
		}
	}()
	src, _ := s.router.Node(domain).Source()
	for end := time.Now().Add(20 * time.Second); !src.Paused(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the reader does not wait")
		}
	}
	<-time.After(deadAfter*cfg.Timers.Ping + time.Second)
	_, said = join(t, s, domain, secret)
	if now, _ := s.router.Node(domain).Source(); now != src || strings.HasPrefix(said, "<handshake/>") {
		t.Errorf("the link is replaced, and a newcomer is told %s", said)
	}
	if l := s.router.Ledger(); !src.Paused() || l.Untold > 0 {
		t.Errorf("the reader waits: %v; %d errors are lost", src.Paused(), l.Untold)
	}
	reads := src.Stanzas()
	close(gate)
	for end := time.Now().Add(20 * time.Second); src.Stanzas() == reads; <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the link does not go on")
		}
	}
	begun := time.Now()
	_ = conn.Close()
	<-poured
	if err := s.Stop(); err != nil || time.Since(begun) > 10*time.Second {
		t.Errorf("the stop took %v: %v", time.Since(begun), err)
	}
}
