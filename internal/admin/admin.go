package admin

import (
	"context"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/server"
)

// tokenName is the file, in the data directory, of the token that New makes.
const tokenName = "admin.token"

// Options are what an Admin needs besides its server.
type Options struct {
	Version string
	Log     *logrus.Entry
	Now     func() time.Time                   // nil: time.Now
	Metrics http.Handler                       // of /metrics; nil: there are none
	Count   func(operation string, status int) // called after each request, "" if it was for no operation; nil: nobody counts
}

// Admin serves the operations of one server.
type Admin struct {
	// set once
	s       *server.Server
	opt     Options
	log     *logrus.Entry
	token   *token
	limits  *limits
	samples *sampler
	table   routes
	ctx     context.Context // ends when Stop begins
	cancel  context.CancelFunc
	wg      sync.WaitGroup // what Start began

	// set by Start
	http, metrics *site // nil: off
}

// New makes an Admin that does not listen yet, and the token of changes where there is none. The error says what is
// wrong with its file.
func New(s *server.Server, o Options) (*Admin, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	t, err := openToken(s.Config())
	if err != nil {
		return nil, err
	}
	a := &Admin{s: s, opt: o, log: o.Log, token: t, limits: newLimits(o.Now), table: newRoutes(operations)}
	if _, err := t.read(); err != nil && t.file != "" {
		a.log.WithError(err).Warn("nothing can be changed until the file of the token can be used")
	}
	a.samples = newSampler(a.counts)
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a, nil
}

// openToken finds the token's file, and makes it if nobody named another.
func openToken(cfg *config.Config) (*token, error) {
	switch {
	case cfg.Admin.TokenFile != "":
		return &token{file: cfg.Admin.TokenFile}, nil
	case cfg.Data == config.Memory || cfg.Listen.HTTP == "":
		return &token{}, nil
	}
	t := &token{file: filepath.Join(cfg.Data, tokenName)}
	return t, t.make()
}

// Start listens on listen.http and listen.metrics. On an error, which may be a *server.InUseError, nothing is left
// listening.
func (a *Admin) Start() error {
	listen := a.s.Config().Listen
	var err error
	if a.http, err = a.open("listen.http", listen.HTTP, false); err != nil {
		return err
	}
	if a.metrics, err = a.open("listen.metrics", listen.Metrics, true); err != nil {
		a.http.close()
		return err
	}
	for _, at := range []*site{a.http, a.metrics} {
		if at != nil {
			a.wg.Go(func() { at.serve(a.log) })
		}
	}
	a.wg.Go(func() { a.samples.run(a.ctx) })
	return nil
}

// Stop ends what streams and what is asked, and closes the listeners. It comes after Server.Stop, so that /readyz says
// no while the server drains.
func (a *Admin) Stop() {
	a.cancel()
	for _, at := range []*site{a.http, a.metrics} {
		at.stop()
	}
	a.wg.Wait()
}

// Operations are the names of all operations, as Options.Count gets them.
func Operations() []string {
	names := make([]string, 0, len(operations))
	for i := range operations {
		names = append(names, operations[i].id)
	}
	return names
}

// HTTPAddr is where the operations are served, empty if nowhere.
func (a *Admin) HTTPAddr() string { return a.http.address() }

// MetricsAddr is where health and metrics alone are served, empty if nowhere.
func (a *Admin) MetricsAddr() string { return a.metrics.address() }
