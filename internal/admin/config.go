package admin

import "github.com/patchbay-im/patchbay/internal/admin/api"

// showConfig answers GET /api/v1/config.
func (a *Admin) showConfig(q *query) (any, error) {
	cfg := a.s.Config()
	answer := api.Config{Server: cfg.Server, Time: a.opt.Now().UTC(), File: a.file(), Store: a.s.Offline() != nil}
	secret := ""
	if q.shown {
		var err error
		if secret, err = a.token.read(); err != nil {
			return nil, err // it has changed since it was looked at
		}
	}
	for _, v := range cfg.Values() {
		k := api.Key{Path: v.Path, Value: v.Text, Live: v.Live}
		if secret != "" {
			k.Print = v.Print(secret)
		}
		answer.Keys = append(answer.Keys, k)
	}
	return answer, nil
}

// file names the configuration that acts.
func (a *Admin) file() api.ConfigFile {
	name, digest := a.s.Config().Source()
	c := api.ConfigFile{File: absolute(name), SHA256: digest, LoadedAt: a.s.Started().UTC()}
	if last := a.s.Reloads().Last; !last.IsZero() {
		c.LoadedAt = last.UTC()
	}
	return c
}
