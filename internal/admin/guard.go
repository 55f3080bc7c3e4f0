package admin

import (
	"cmp"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/admin/api"
)

// refusal is why a request is not served.
type refusal struct {
	status        int
	code          string
	message, mend string
	wait          time.Duration // Retry-After, of 429
	allow         string        // of 405
}

// ask is what the guard knows of a request: nothing but where it came in and its head.
type ask struct {
	site  *site
	local netip.AddrPort // the address of this machine that it was sent to
	peer  netip.Addr
	host  string
	head  http.Header
}

// newAsk reads the head of a request.
func newAsk(at *site, r *http.Request) *ask {
	k := &ask{site: at, local: at.addr, peer: peer(r.RemoteAddr), host: r.Host, head: r.Header}
	if ta, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		k.local = unmapped(ta.AddrPort())
	}
	return k
}

// misdirected refuses a Host that is not ours. A page whose name its owner lets stand for this machine (DNS rebinding)
// is of that page's origin for a browser; only the Host tells it. listen.metrics has nothing that such a page could
// change or should not know, and probes and scrapers come there by any name.
func (k *ask) misdirected(hosts []string) *refusal {
	if k.site.health || k.knows(hosts) {
		return nil
	}
	return &refusal{status: http.StatusMisdirectedRequest, code: api.CodeMisdirected, message: "this server is not known by the name that the request has as Host",
		mend: "use the address of listen.http, or add the name to admin.hosts"}
}

// knows reports whether the Host is the address that was asked, or one of the configuration.
func (k *ask) knows(hosts []string) bool {
	name, port, ok := splitHost(k.host)
	if !ok {
		return false
	}
	if slices.Contains(hosts, name) {
		return true // a proxy has a port of its own
	}
	if port != "" && port != portText(k.local) {
		return false
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.Unmap() == k.local.Addr() || ip.IsLoopback() && k.local.Addr().IsLoopback()
	}
	return name == k.site.name || name == "localhost" && k.local.Addr().IsLoopback()
}

func portText(ap netip.AddrPort) string {
	_, port, _ := net.SplitHostPort(ap.String())
	return port
}

// splitHost takes a Host apart: a name in small letters without its last dot, or an IP address, and a port, which may be
// "". It takes no empty name and no port that is no number.
func splitHost(host string) (name, port string, ok bool) {
	name = host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name, port = host[:i], host[i+1:]
		if port == "" || strings.Trim(port, "0123456789") != "" {
			return "", "", false
		}
	}
	if inner, bracket := strings.CutPrefix(name, "["); bracket {
		name, ok = strings.CutSuffix(inner, "]")
		ip, err := netip.ParseAddr(name)
		return name, port, ok && err == nil && ip.Is6()
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name, port, name != "" && !strings.ContainsAny(name, ":/@[]%\\ ")
}

// foreign refuses what a page of another origin makes a browser send. What is no browser sends neither header.
func (k *ask) foreign() *refusal {
	site, origin := k.head.Values("Sec-Fetch-Site"), k.head.Values("Origin")
	own := len(site) == 0 || len(site) == 1 && (site[0] == "same-origin" || site[0] == "none")
	if own && (len(origin) == 0 || len(origin) == 1 && sameOrigin(origin[0], k.host)) {
		return nil
	}
	return &refusal{status: http.StatusForbidden, code: api.CodeForbidden, message: "a page of another origin made this request",
		mend: "use patchbay ctl, or open the address itself"}
}

// sameOrigin reports whether an Origin (RFC 6454 7) is that of a Host. Its scheme may be the one of a proxy before us.
func sameOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || origin != u.Scheme+"://"+u.Host {
		return false
	}
	usual := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	name, port, ok := splitHost(u.Host)
	hostName, hostPort, hostOK := splitHost(host)
	return ok && hostOK && name == hostName && cmp.Or(port, usual) == cmp.Or(hostPort, usual)
}

// near reports whether a request comes from this machine and from nobody behind it: a proxy here speaks for others. It is
// told by what it adds, or by the name under which it is reached, which is one of admin.hosts.
func (k *ask) near() bool {
	for name := range k.head {
		if name == "Forwarded" || name == "Via" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-") {
			return false
		}
	}
	return k.site.addr.Addr().IsLoopback() && k.peer.IsLoopback() && k.knows(nil)
}

// bearer is the token that a request shows (RFC 6750 2.1); shown is false where it shows none.
func (k *ask) bearer() (text string, shown bool) {
	all := k.head.Values("Authorization")
	if len(all) == 0 {
		return "", false
	}
	scheme, text, _ := strings.Cut(all[0], " ")
	if len(all) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return "", true
	}
	return strings.TrimSpace(text), true
}

// unproved refuses who must show the token and does not, and who shows a wrong one.
func (a *Admin) unproved(k *ask, o *operation) *refusal {
	text, shown := k.bearer()
	needs := refusal{status: http.StatusUnauthorized, code: api.CodeUnauthorized, message: "this needs the token", mend: a.token.mend()}
	switch {
	case k.site.health || o.who == anyone || !shown && o.who == local && k.near():
		return nil
	case a.token.file == "":
		return &refusal{status: http.StatusForbidden, code: api.CodeForbidden, message: "this needs a token, and there is none: with data \":memory:\" none is made",
			mend: "set admin.token_file, or keep data on disk"}
	case !shown && o.who == local:
		needs.message = "reads from beyond loopback need the token"
		return &needs
	case !shown:
		return &needs
	}
	right, wait := a.limits.try(k.peer)
	busy := refusal{status: http.StatusTooManyRequests, code: api.CodeBusy, message: "too many wrong tokens from this address", mend: "wait", wait: wait}
	if wait > 0 && !k.near() {
		return &busy
	}
	matches, err := a.token.matches(text)
	switch {
	case err != nil:
		a.log.WithError(err).Error("no request that needs the token is served")
		return &refusal{status: http.StatusForbidden, code: api.CodeForbidden, message: "the file of the token cannot be used; the server's log says why",
			mend: "mend the file, or remove it and start again"}
	case !matches && wait > 0:
		return &busy // who is on this machine shuts out nobody else on it: a right token is always taken from there
	case !matches:
		a.log.WithFields(logrus.Fields{"op": o.id, "from": k.peer}).Warn("admin: a wrong token")
		needs.message = "the token is wrong"
		return &needs
	}
	if right != nil {
		right()
	}
	return nil
}

// mend says what to show, as far as a stranger may know it: not where the file lies.
func (t *token) mend() string {
	return "Authorization: Bearer and the content of the file admin.token_file, or else of admin.token in the data directory"
}

// wrongMedia refuses a change whose body is not said to be JSON: a browser sends no JSON to another origin unasked.
func (k *ask) wrongMedia() *refusal {
	types := k.head.Values("Content-Type")
	if len(types) == 1 && len(k.head.Values("Content-Encoding")) == 0 {
		media, params, err := mime.ParseMediaType(types[0])
		charset, has := params["charset"]
		if err == nil && media == "application/json" && (!has || strings.EqualFold(charset, "utf-8")) {
			return nil
		}
	}
	return &refusal{status: http.StatusUnsupportedMediaType, code: api.CodeMediaType, message: "a change is asked for as JSON", mend: "Content-Type: application/json"}
}

// judge decides whether a request may be served, in the order in which the answer matters to nobody else: a stranger
// learns nothing of the token, and who has no token takes nobody's turn.
func (a *Admin) judge(k *ask, o *operation) *refusal {
	if no := a.unproved(k, o); no != nil {
		return no
	}
	if o.method == http.MethodPost {
		if no := k.wrongMedia(); no != nil {
			return no
		}
	}
	if o.who == anyone {
		return nil
	}
	if wait := a.limits.take(o.method == http.MethodPost); wait > 0 {
		return &refusal{status: http.StatusTooManyRequests, code: api.CodeBusy, message: "more is asked than is answered", mend: "ask less often", wait: wait}
	}
	return nil
}
