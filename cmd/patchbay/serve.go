package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/patchbay-im/patchbay/internal/admin"
	"github.com/patchbay-im/patchbay/internal/admin/metrics"
	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/server"
)

// defaultData is where a server without a file keeps its data.
const defaultData = "./patchbay-data"

func newServeCommand() *cobra.Command {
	var file string
	var sets []string
	cmd := &cobra.Command{
		Use:   "serve [--config FILE] [--set KEY=VALUE]",
		Short: "run a server; no file: development, loopback",
		Long: "serve runs a server until a signal ends it. Without a file it is a development server: loopback only, nodes attach at\n" +
			"127.0.0.1:5347 under any domain of *.im.example with the secret in ./patchbay-data/dev-secret, operations are at 127.0.0.1:5280.\n" +
			"One key of the configuration can be set by hand, for example --set timers.grace=10s or --set listen.component=127.0.0.1:5348.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				file = os.Getenv("PATCHBAY_CONFIG")
			}
			return serve(cmd.Context(), cmd.ErrOrStderr(), file, sets)
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (PATCHBAY_CONFIG)")
	cmd.Flags().StringArrayVar(&sets, "set", nil, "set one key of the configuration: KEY=VALUE")
	return cmd
}

// serve runs a server until a signal or until its disk fails.
func serve(ctx context.Context, stderr io.Writer, file string, sets []string) error {
	began := time.Now()
	ctx, hangup, stop := signals(ctx, file) // before a node can attach
	defer stop()
	cfg, err := loadConfig(stderr, file, sets)
	if err != nil {
		return err
	}
	tty := isTerminal(stderr)
	log := newLogger(stderr, cfg.Log, tty)
	failed := make(chan error, 1)
	s, err := server.New(cfg, server.Options{Version: version, Memory: true, Log: logrus.NewEntry(log),
		OnFail: func(err error) { failed <- err }, Load: loader(file, sets)})
	if err != nil {
		return &exitError{exitFailed, err}
	}
	a, err := operate(s, admin.Options{Version: version, Log: logrus.NewEntry(log)})
	if err != nil {
		_ = s.Stop()
		return &exitError{exitFailed, inUse(err)}
	}
	took := time.Since(began)
	switch {
	case file != "":
		log.WithFields(logrus.Fields{"server": cfg.Server, "nodes": len(cfg.Nodes), "component": s.ComponentAddr(), "component_tls": s.ComponentTLSAddr(),
			"http": a.HTTPAddr(), "data": cfg.Data, "sessions": cmp.Or(known(s), "still being read")}).Info("config " + file + " sha256=" + digest(cfg))
	case tty:
		writeBanner(stderr, cfg, s, a)
	default:
		log.WithFields(logrus.Fields{"server": cfg.Server, "component": s.ComponentAddr(), "http": a.HTTPAddr(), "data": cfg.Data}).
			Info("development server: loopback only, no TLS, one secret for all nodes")
	}
	log.Info(begun(s.Ready(), took, cfg.Timers.Settle))
	return running{s, a, log, stderr, failed, hangup, stop}.wait(ctx)
}

// signals gives a context that ends with the signal to stop, and the signals to load the file again. Without a file SIGHUP
// means what it always has: the terminal was closed.
func signals(ctx context.Context, file string) (context.Context, <-chan os.Signal, func()) {
	if file == "" {
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		return ctx, nil, stop
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	return ctx, hangup, stop
}

// begun says how long the start took. It says ready only when /readyz does: after a restart nodes have to come back first.
func begun(ready bool, took, settle time.Duration) string {
	if ready {
		return fmt.Sprintf("ready in %d ms", took.Milliseconds())
	}
	return fmt.Sprintf("listening after %d ms; ready when the nodes of before are back, or after %v", took.Milliseconds(), settle)
}

// loader gives what reads the file again, nil without one.
func loader(file string, sets []string) func() (*config.Config, config.Faults) {
	if file == "" {
		return nil
	}
	return func() (*config.Config, config.Faults) { return config.Load(file, sets...) }
}

// operate starts a server and its operations, with metrics. On an error the operations have stopped, and the server
// wants to be.
func operate(s *server.Server, opt admin.Options) (*admin.Admin, error) {
	requests := metrics.NewRequests(admin.Operations())
	opt.Metrics, opt.Count = metrics.Handler(metrics.New(s, requests), opt.Log), requests.Count
	a, err := admin.New(s, opt)
	if err != nil {
		return nil, err
	}
	if err = s.Start(); err == nil {
		err = a.Start()
	}
	if err != nil {
		a.Stop()
		return nil, err
	}
	return a, nil
}

// running is a server that serves, and what ends it.
type running struct {
	s      *server.Server
	admin  *admin.Admin // stops after the server, so that /readyz tells of the drain
	log    *logrus.Logger
	stderr io.Writer
	failed <-chan error
	hangup <-chan os.Signal // nil: there is no file to load again
	stop   func()           // stops catching signals
}

// wait loads the configuration again at SIGHUP, and ends the server at another signal; a second one ends the process at
// once.
func (r running) wait(ctx context.Context) error {
	for ctx.Err() == nil {
		select {
		case err := <-r.failed:
			return &exitError{exitFailed, err} // nothing may be acknowledged any more: end, the disk has what was
		case <-r.hangup:
			r.reload()
		case <-ctx.Done():
		}
	}
	r.stop()
	r.log.Info("stopping: queues are written, links are closed (again to end at once)")
	err := r.s.Stop()
	r.admin.Stop()
	if err != nil {
		return &exitError{exitFailed, err}
	}
	return nil
}

// reload is told in the log; the faults of a file come whole, with their lines.
func (r running) reload() {
	_, err := r.s.Reload()
	var faults config.Faults
	if errors.As(err, &faults) {
		_ = faults.Write(r.stderr, colour(r.stderr))
	}
}

// loadConfig reads the file, or makes the development configuration.
func loadConfig(stderr io.Writer, file string, sets []string) (*config.Config, error) {
	if file != "" {
		cfg, faults := config.Load(file, sets...)
		if len(faults) > 0 {
			_ = faults.Write(stderr, colour(stderr))
		}
		if cfg == nil || faults.Fatal() {
			return nil, &exitError{code: exitFailed}
		}
		return cfg, nil
	}
	data := defaultData
	for _, set := range sets {
		if !strings.Contains(set, "=") {
			return nil, &exitError{exitUsage, fmt.Errorf("--set takes KEY=VALUE, not %q; for example --set timers.grace=10s", set)}
		}
		if v, ok := strings.CutPrefix(set, "data="); ok {
			data = v
		}
	}
	cfg, err := config.Development(data)
	if err != nil {
		return nil, &exitError{exitFailed, err}
	}
	for _, set := range sets {
		key, value, _ := strings.Cut(set, "=")
		if bad := cfg.Set(key, value); bad != nil {
			return nil, &exitError{exitUsage, errors.New(bad.Error())}
		}
	}
	if faults := cfg.Validate(); len(faults) > 0 {
		_ = faults.Write(stderr, colour(stderr))
		if faults.Fatal() {
			return nil, &exitError{code: exitFailed}
		}
	}
	return cfg, nil
}

// digest is the SHA-256 of the file that was loaded, in short.
func digest(cfg *config.Config) string {
	_, sum := cfg.Source()
	if len(sum) < 8 {
		return sum
	}
	return sum[:4] + "…" + sum[len(sum)-4:]
}

// inUse gives the mend for a port that another program has.
func inUse(err error) error {
	var used *server.InUseError
	if !errors.As(err, &used) {
		return err
	}
	host, port, _ := net.SplitHostPort(used.Addr)
	other, hint := "0", ""
	if port == "5347" {
		other, hint = "5348", " (Prosody and ejabberd use it too)"
	}
	return fmt.Errorf("%s is in use%s. Choose another: patchbay serve --set %s=%s", used.Addr, hint, used.Key, net.JoinHostPort(host, other))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// isTerminalReader reports whether a person types what is read.
func isTerminalReader(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colour reports whether a stream may be coloured: a terminal, and NO_COLOR unset.
func colour(w io.Writer) bool { return isTerminal(w) && os.Getenv("NO_COLOR") == "" }

// brief is how long a start waits to tell how many sessions there are from before. The server serves meanwhile.
const brief = 100 * time.Millisecond

// known gives the number of sessions from before, or "" if reading them takes longer than the start may.
func known(s *server.Server) string {
	ctx, cancel := context.WithTimeout(context.Background(), brief)
	defer cancel()
	if s.Sessions().WaitLoaded(ctx) != nil {
		return ""
	}
	return strconv.Itoa(s.Sessions().Total())
}

// writeBanner tells a newcomer what runs and what to do next.
func writeBanner(w io.Writer, cfg *config.Config, s *server.Server, a *admin.Admin) {
	var state string
	switch n := known(s); n {
	case "0":
		state = "new (0 sessions)"
	case "":
		state = "sessions from before, still being read"
	default:
		state = n + " sessions from before"
	}
	operations := "off"
	if addr := a.HTTPAddr(); addr != "" {
		operations = "http://" + addr + "   patchbay ctl status; /metrics, /healthz, /readyz"
	}
	node := cfg.Nodes[0]
	fmt.Fprintf(w, `patchbay %s   development server: loopback only, no TLS, one secret for all nodes

  Server address   %s
  User domain      %s
  Nodes attach at  %-24s any domain under %s
  Secret           export PATCHBAY_SECRET=%s      (the same next time)
  Operations       %s
  Data             %-24s %s

  Try it           patchbay node a.%[3]s --user alice@%[3]s/phone
                   patchbay node b.%[3]s --user bob@%[3]s/web       (another terminal)
  In your language patchbay help node       Python, Node.js, Go: one short file each
  For production   patchbay init && patchbay check && patchbay serve --config patchbay.yaml

`, version, cfg.Server, cfg.Users[0], s.ComponentAddr(), node.Domain, string(node.Secret[0]), operations, cfg.Data, state)
}
