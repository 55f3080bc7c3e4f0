package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/say"
	"github.com/patchbay-im/patchbay/routing"
)

func checkReady(e *evidence) []api.Finding {
	switch {
	case e.a.s.Stopping():
		return warn("the server is stopping", "nodes attach to another one")
	case e.a.s.Router().Draining():
		return warn("the server is being drained: nodes take no new sessions", "stop it when patchbay ctl drain --server says that it is safe, or: patchbay ctl undrain --server")
	case !e.a.s.Ready():
		return warn("the server is not ready: it has just started, and not all nodes of before are back", "wait; it is ready after timers.settle ("+e.cfg.Timers.Settle.String()+") at the latest")
	}
	return nil
}

// checkView finds that users may be unknown: nodes of before a restart may still come back.
func checkView(e *evidence) []api.Finding {
	if e.a.s.Router().Complete() {
		return nil
	}
	return warn("users without a session count as unknown, not as offline", whenKnown(e.facts))
}

// whenKnown says what the view waits for.
func whenKnown(facts []routing.NodeFacts) string {
	var away, mute []string
	for _, f := range facts {
		switch {
		case f.State == routing.Away && len(away) < 3:
			away = append(away, f.Domain)
		case f.State == routing.Attached && f.Confirming && len(mute) < 3:
			mute = append(mute, f.Domain)
		}
	}
	switch {
	case len(away) > 0:
		return "it is known when these are back, or their grace has ended: " + strings.Join(away, ", ")
	case len(mute) > 0:
		return "it is known when these have said which users they still have, or timers.grace has passed: " + strings.Join(mute, ", ")
	}
	return "wait for the sessions of before to be read"
}

// checkLedger looks twice: while stanzas move, one look may come between two counters.
func checkLedger(e *evidence) []api.Finding {
	l := e.ledger
	ok, off := l.Adds()
	for i := 0; i < 3 && !ok; i++ {
		runtime.Gosched()
		l = e.a.s.Ledger()
		ok, off = l.Adds()
	}
	if ok {
		return nil
	}
	return fail(fmt.Sprintf("the account of stanzas is off by %d", off), "this is a fault of the router: report it with the output of patchbay ctl outcomes -o json")
}

func checkUntold(e *evidence) []api.Finding {
	then, _ := e.a.samples.since(lookBack, e.now)
	n := rise(e.ledger.Untold, then.untold)
	if n == 0 {
		return nil
	}
	return warn(say.Count(n, "answer")+" of the server reached nobody in the last 5 min",
		"a node asks more than it reads, or left while much that it had sent was still waiting: patchbay ctl nodes, patchbay ctl outcomes")
}

func checkCertificate(e *evidence) []api.Finding {
	cert := e.a.s.Certificate()
	if cert == nil {
		return good("there is none: tls.cert is not set")
	}
	return expiry(cert.NotAfter, e.now)
}

func expiry(end, now time.Time) []api.Finding {
	left, date := end.Sub(now), end.UTC().Format(time.DateOnly)
	days := say.Count(int(left.Abs()/(24*time.Hour)), "day")
	const mend = "renew it; tls.cert and tls.key are read again when they change"
	switch {
	case left < 0:
		return fail("tls.cert expired "+days+" ago ("+date+")", mend)
	case left < soonExpired:
		return warn("tls.cert expires in "+days+" ("+date+")", mend)
	}
	return good("tls.cert is good for " + days)
}

func checkDisk(e *evidence) []api.Finding {
	if e.cfg.Data == config.Memory {
		return good("nothing is kept on disk")
	}
	return room(e.a.disk())
}

func room(d *api.Disk) []api.Finding {
	if d == nil || d.TotalBytes == 0 {
		return good("this system does not tell how full the disk is")
	}
	free := fmt.Sprintf("%d %% of the disk of %s is free: %s", d.FreeBytes*100/d.TotalBytes, d.Path, say.Size(d.FreeBytes))
	if d.FreeBytes*100 < leastDisk*d.TotalBytes {
		return fail("only "+free, "free some: what must be kept is refused when it is full, and the server ends when a write fails")
	}
	return good(free)
}

func checkStore(e *evidence) []api.Finding {
	off := e.a.s.Offline()
	if off == nil || e.cfg.Offline.Total == 0 {
		return nil
	}
	st := off.Stats()
	if st.Bytes*100 < fullStore*e.cfg.Offline.Total {
		return nil
	}
	return warn(fmt.Sprintf("the offline store is %d %% full: %s of %s for %s", st.Bytes*100/e.cfg.Offline.Total, say.Size(uint64(st.Bytes)),
		say.Size(uint64(e.cfg.Offline.Total)), say.Count(st.Users, "user")), "raise offline.total, or lower offline.keep; beyond it senders are told "+routing.StoreFull.String())
}

// checkKept finds that all outboxes and the offline store together are near what they may have.
func checkKept(e *evidence) []api.Finding {
	all := outboxes(e.cfg, e.facts)
	if all == nil {
		return nil
	}
	kept := all.Bytes
	if off := e.a.s.Offline(); off != nil {
		kept += uint64(off.Stats().Bytes)
	}
	return nearDisk(kept, all.DiskMax)
}

func nearDisk(kept, limit uint64) []api.Finding {
	if limit == 0 || kept*100 < mostOfOutbox*limit {
		return nil
	}
	return warn(fmt.Sprintf("outboxes and the offline store have %d %% of what they may: %s of %s", kept*100/limit, say.Size(kept), say.Size(limit)),
		"raise limits.disk if the disk has room; beyond it stanzas that would wait there go back to their senders: patchbay ctl top --sort queue")
}

// checkFile compares the file with what was loaded from it.
func checkFile(e *evidence) []api.Finding {
	name, loaded := e.cfg.Source()
	if name == "" {
		return good("there is none: this is a development server")
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return warn("the configuration file cannot be read: "+line(cause(err)), "the server goes on with what it has; a restart would not")
	}
	here := sha256.Sum256(text)
	if hex.EncodeToString(here[:]) == loaded {
		return restartFor(e.a.s.Reloads().Waiting)
	}
	return warn("the configuration file differs from what acts", "patchbay check --against-running, then patchbay ctl reload")
}

// restartFor finds keys that were loaded and do not act.
func restartFor(keys []string) []api.Finding {
	const most = 3 // names in one sentence
	if len(keys) == 0 {
		return nil
	}
	names := strings.Join(keys[:min(most, len(keys))], ", ")
	if more := len(keys) - most; more > 0 {
		names += " and " + say.Count(more, "key") + " more"
	}
	return warn("what the configuration file says of "+line(names)+" acts after a restart only", "restart the server, or take it back: patchbay check --against-running")
}

// cause is an error of a file without the file's name.
func cause(err error) string {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}

// checkSecrets finds secrets that this program made for trying out where more than this machine can use them.
func checkSecrets(e *evidence) []api.Finding {
	if ownLoopback(e.a.s.ComponentAddr()) && ownLoopback(e.a.s.ComponentTLSAddr()) {
		return nil
	}
	return trySecrets(e.cfg.Nodes)
}

func trySecrets(nodes []config.Node) []api.Finding {
	for _, n := range nodes {
		for _, s := range n.Secret {
			if strings.HasPrefix(string(s), "dev-") || strings.HasPrefix(string(s), "demo-") {
				return fail(n.Domain+" has a secret of a development server, and nodes attach from beyond loopback", "give it one of its own: openssl rand -hex 16")
			}
		}
	}
	return nil
}

// ownLoopback reports whether an address is off, or reached from this machine only.
func ownLoopback(addr string) bool {
	ap, err := netip.ParseAddrPort(addr)
	return addr == "" || err == nil && ap.Addr().Unmap().IsLoopback()
}

// checkUserDomains finds user domains whose users no node may have.
func checkUserDomains(e *evidence) []api.Finding {
	var found []api.Finding
	for _, u := range e.cfg.Users {
		if !slices.ContainsFunc(e.cfg.Nodes, func(n config.Node) bool { return slices.Contains(n.Users, u) }) {
			found = append(found, warn("no node may have users of "+u, "list it under users of a node: nodes[].users")...)
		}
	}
	return found
}

func checkToken(e *evidence) []api.Finding {
	file := e.a.token.file
	if file == "" {
		return warn("there is no token, so nothing can be changed", "set admin.token_file, or keep data on disk")
	}
	if _, err := e.a.token.read(); err != nil {
		return warn("nothing can be changed: "+line(cause(err)), "mend the file of the token, or remove it and start again")
	}
	if info, err := os.Stat(file); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return warn(fmt.Sprintf("the file of the token has mode %04o: others on this machine can change things", info.Mode().Perm()), "chmod 600 "+absolute(file))
	}
	return nil
}
