package admin

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/server"
	"github.com/patchbay-im/patchbay/stanza"
)

// refusals are what the server refuses, by the code that says so.
var refusals = []struct {
	err        error
	code, mend string
}{
	{server.ErrNoNode, api.CodeNotFound, "see patchbay ctl nodes"},
	{server.ErrNoLink, api.CodeNotFound, "see patchbay ctl links"},
	{server.ErrNoSession, api.CodeNotFound, "see patchbay ctl where, patchbay ctl sessions"},
	{server.ErrBadReason, api.CodeBadRequest, ""},
	{server.ErrBadAddress, api.CodeBadRequest, ""},
	{server.ErrNoFile, api.CodeConflict, ""},
	{server.ErrStopping, api.CodeStopping, ""},
}

// refused gives an error of the server the form of the API.
func refused(err error) error {
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return &api.Error{Code: r.code, Message: line(err.Error()), Mend: r.mend}
		}
	}
	return err
}

// kick answers POST /api/v1/kick.
func (a *Admin) kick(q *query) (any, error) {
	k := q.body.(*api.Kick)
	q.log = q.log.WithField("target", word(k.Target))
	if k.Target == "" {
		return nil, badRequest("target is missing", `{"target": "bob@im.example"}`)
	}
	done, err := a.s.Kick(k.Target, k.Reason)
	if err != nil {
		return nil, refused(err)
	}
	q.log = q.log.WithField("sessions", done.Sessions).WithField("links", done.Links)
	return api.Kicked{Sessions: done.Sessions, Links: done.Links}, nil
}

// reload answers POST /api/v1/reload.
func (a *Admin) reload(*query) (any, error) {
	done, err := a.s.Reload()
	var faults config.Faults
	switch {
	case errors.As(err, &faults):
		return nil, &api.Error{Code: api.CodeConflict, Message: "nothing was changed: " + line(faults.Error()), Mend: "patchbay check", Faults: faultsOf(faults)}
	case err != nil:
		return nil, refused(err)
	}
	answer := api.Reloaded{File: a.file(), Warnings: faultsOf(done.Warnings)}
	for _, c := range done.Changes {
		answer.Changes = append(answer.Changes, api.Change{Path: c.Path, Old: c.Old, New: c.New, Applied: c.Applied, Note: c.Note})
	}
	return answer, nil
}

// faultsOf gives faults the form of the API. None of them holds a secret.
func faultsOf(faults config.Faults) []api.Fault {
	var all []api.Fault
	for _, f := range faults {
		var text bytes.Buffer
		_ = config.Faults{f}.Write(&text, false) // a buffer takes all
		_, shown, _ := strings.Cut(text.String(), "\n")
		all = append(all, api.Fault{File: f.File, Line: f.Line, Column: f.Column, Path: f.Path, Code: f.Code, Message: f.Message,
			Mend: f.Mend, Source: f.Source, Warning: f.Warning, Text: shown})
	}
	return all
}

// secret answers POST /api/v1/secret.
func (a *Admin) secret(q *query) (any, error) {
	domain := q.body.(*api.SecretOf).Domain
	q.log = q.log.WithField("target", word(domain))
	cfg := a.s.Config()
	entry, ok := cfg.Node(domain)
	switch {
	case !ok:
		return nil, &api.Error{Code: api.CodeNotFound, Message: word(domain) + " stands under no entry of nodes", Mend: "add an entry, such as *.im.example"}
	case !entry.Wildcard():
		return nil, &api.Error{Code: api.CodeConflict, Message: word(domain) + " has an entry of its own", Mend: "its secret stands there, in the configuration"}
	case slices.Contains(cfg.Users, domain) || domain == cfg.Server || !canonical(domain): // the handshake takes no such name
		return nil, badRequest(word(domain)+" is no name for a node", "a domain in canonical form (RFC 7622 3.2)")
	}
	return api.Secret{Domain: domain, Under: entry.Domain, Secret: string(config.NameSecret(entry.Secret[0], domain))}, nil
}

// canonical reports whether a text is a domain as the wire has it (RFC 7622 3.2).
func canonical(domain string) bool {
	who, _, err := stanza.ParseAddress([]byte(domain), false, nil)
	return err == nil && string(who.Domain()) == domain && len(who.Local()) == 0 && who.IsBare()
}
