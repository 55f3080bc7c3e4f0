package admin

import (
	"context"
	"errors"
	stdlog "log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/server"
)

// The patience of a site. A client has to be slow on purpose to meet it.
const (
	headTime  = 5 * time.Second  // to send the head of a request
	bodyTime  = 10 * time.Second // and all of it
	writeTime = 30 * time.Second // to take the answer; a stream counts it anew with each line
	idleTime  = time.Minute
	headBytes = 16 << 10
	farewell  = 2 * time.Second // for answers under way at a stop
)

// site is one address at which HTTP is served.
type site struct {
	key    string // of the configuration
	name   string // the host as the configuration has it
	addr   netip.AddrPort
	health bool // serves health and metrics alone

	ln  net.Listener
	srv *http.Server
}

// open listens at an address, or gives nil where there is none.
func (a *Admin) open(key, addr string, health bool) (*site, error) {
	if addr == "" {
		return nil, nil
	}
	ln, err := server.Listen(key, addr)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(addr)
	at := &site{key: key, name: strings.ToLower(host), health: health, ln: newCapped(ln)}
	if ta, ok := ln.Addr().(*net.TCPAddr); ok {
		at.addr = unmapped(ta.AddrPort())
	}
	at.srv = &http.Server{
		Handler:                      http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.serve(at, w, r) }),
		DisableGeneralOptionsHandler: true, // OPTIONS * is a request like any other: it has no row
		ReadHeaderTimeout:            headTime,
		ReadTimeout:                  bodyTime,
		WriteTimeout:                 writeTime,
		IdleTimeout:                  idleTime,
		MaxHeaderBytes:               headBytes,
		ErrorLog:                     stdlog.New(errorLog{a.log}, "", 0),
		BaseContext:                  func(net.Listener) context.Context { return a.ctx },
		ConnContext:                  withConn,
	}
	return at, nil
}

// serve runs until the site is closed.
func (at *site) serve(log *logrus.Entry) {
	if err := at.srv.Serve(at.ln); !errors.Is(err, http.ErrServerClosed) {
		log.WithError(err).WithField("listen", at.key).Error("serve HTTP")
	}
}

// stop lets answers under way end, for a while.
func (at *site) stop() {
	if at == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if at.srv.Shutdown(ctx) != nil {
		_ = at.srv.Close()
	}
	_ = at.ln.Close() // a server that never served does not know it
}

// close takes back a listener that does not serve yet.
func (at *site) close() {
	if at != nil {
		_ = at.ln.Close()
	}
}

func (at *site) address() string {
	if at == nil {
		return ""
	}
	return at.ln.Addr().String()
}

// unmapped writes an IPv4 address as such, also where the socket is of both families, and drops the zone: it names an
// interface of this machine.
func unmapped(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// errorLog takes what net/http has to say of connections: a peer's mistakes, which are no news at the usual level.
type errorLog struct{ log *logrus.Entry }

// Write logs one line.
func (l errorLog) Write(line []byte) (int, error) {
	l.log.WithField("error", strings.TrimSpace(string(line))).Debug("HTTP connection")
	return len(line), nil
}
