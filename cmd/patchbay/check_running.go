package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/ctl"
	"github.com/patchbay-im/patchbay/internal/say"
)

// difference is what a file would change of a running server.
type difference struct {
	server  string
	url     string
	hidden  string // why secrets were not compared; "" if they were
	changes []config.Change
}

// compare asks the running server for its configuration.
func (c *checking) compare(cmd *cobra.Command, cfg *config.Config) (*difference, error) {
	ctx, stop := untilSignal(cmd)
	defer stop()
	named := cmp.Or(c.url, os.Getenv("PATCHBAY_URL"))
	first := cmp.Or(named, urlOf(cfg.Listen.HTTP), c.usual)
	d, err := c.ask(ctx, cmd, first, cfg)
	var unreached *ctl.NotReachedError
	if named != "" || first == c.usual || !errors.As(err, &unreached) {
		return d, err
	}
	// The file may be about to move the port; only the server of this file counts at the usual one.
	if usual, e := c.ask(ctx, cmd, c.usual, cfg); e == nil && usual.server == cfg.Server {
		return usual, nil
	}
	return nil, err
}

// ask compares with the server at one address.
func (c *checking) ask(ctx context.Context, cmd *cobra.Command, url string, cfg *config.Config) (*difference, error) {
	at := c.asking
	at.url = url
	r, err := at.remote(cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	d := &difference{url: r.URL()}
	get := ctl.GetWithToken[api.Config]
	token, err := r.Token(ctx)
	var unreached *ctl.NotReachedError
	switch {
	case errors.As(err, &unreached):
		return nil, err
	case err != nil:
		d.hidden, get = say.Clean(err.Error()), ctl.Get[api.Config]
	}
	running, err := get(ctx, r, api.PathConfig, nil)
	if err != nil {
		return nil, err
	}
	told := make([]config.Told, 0, len(running.Keys))
	for _, k := range running.Keys {
		told = append(told, config.Told{Path: k.Path, Text: k.Value, Print: k.Print, Live: k.Live})
	}
	d.server, d.changes = running.Server, cfg.DiffTold(told, token)
	if !running.Store {
		d.changes = config.WithoutStore(d.changes, cfg)
	}
	return d, nil
}

// urlOf is where a server that listens at an address is asked from the same machine; "" if it does not listen.
func urlOf(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "0" {
		return ""
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.Is6() {
			host = "::1"
		}
	}
	return "http://" + net.JoinHostPort(host, port)
}

// text goes on behind "good.": one sentence, then the changes.
func (d *difference) text() string {
	var b strings.Builder
	b.WriteString(" Against the running server: " + d.sentence() + ".")
	wide := 0
	for _, ch := range d.changes {
		wide = max(wide, len([]rune(say.Clean(ch.Path))))
	}
	for _, ch := range d.changes {
		fmt.Fprintf(&b, "\n  %-*s  %s", wide, say.Clean(ch.Path), turn(ch))
		if !ch.Live {
			b.WriteString("   needs a restart")
		}
	}
	if d.hidden != "" {
		b.WriteString("\nSecrets were not compared: " + d.hidden)
	}
	return b.String()
}

// turn says what a change does.
func turn(ch config.Change) string {
	was, is := say.Clean(ch.Old), say.Clean(ch.New)
	switch {
	case ch.Secret && was == is:
		return "another secret"
	case was == "":
		return is
	case is == "":
		return was + " -> not said"
	}
	return was + " -> " + is
}

// sentence is "2 changes apply live, listen.http needs a restart".
func (d *difference) sentence() string {
	live := 0
	var stay []string
	for _, ch := range d.changes {
		if ch.Live {
			live++
		} else {
			stay = append(stay, say.Clean(ch.Path))
		}
	}
	var parts []string
	switch live {
	case 0:
	case 1:
		parts = append(parts, "1 change applies live")
	default:
		parts = append(parts, strconv.Itoa(live)+" changes apply live")
	}
	const most = 3 // names in one sentence
	switch n := len(stay); {
	case n == 1:
		parts = append(parts, stay[0]+" needs a restart")
	case n > most:
		parts = append(parts, strconv.Itoa(n)+" keys need a restart")
	case n > 1:
		parts = append(parts, strings.Join(stay[:n-1], ", ")+" and "+stay[n-1]+" need a restart")
	}
	if len(parts) == 0 {
		return "nothing differs"
	}
	return strings.Join(parts, ", ")
}

// comparison is a difference in JSON.
type comparison struct {
	Faults          []api.Fault `json:"faults"` // warnings only: a file with faults is not compared
	Server          string      `json:"server"`
	URL             string      `json:"url"`
	SecretsCompared bool        `json:"secrets_compared"`
	Changes         []changed   `json:"changes"`
}

// changed is one key that differs.
type changed struct {
	Path   string `json:"path"`
	Old    string `json:"old"`
	New    string `json:"new"`
	Live   bool   `json:"live"` // a reload applies it; otherwise it needs a restart
	Secret bool   `json:"secret"`
}

func (d *difference) answer(faults config.Faults) comparison {
	out := comparison{Faults: apiFaults(faults), Server: d.server, URL: d.url, SecretsCompared: d.hidden == "", Changes: []changed{}}
	for _, ch := range d.changes {
		out.Changes = append(out.Changes, changed{ch.Path, ch.Old, ch.New, ch.Live, ch.Secret})
	}
	return out
}
