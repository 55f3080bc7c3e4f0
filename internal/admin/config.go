package admin

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/config"
)

// showConfig answers GET /api/v1/config.
func (a *Admin) showConfig(q *query) (any, error) {
	cfg := a.s.Config()
	answer := api.Config{Server: cfg.Server, Time: a.opt.Now().UTC(), File: a.file()}
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
			k.Print = prints(secret, v.Secrets)
		}
		answer.Keys = append(answer.Keys, k)
	}
	return answer, nil
}

// prints tells secrets apart to who has the token, and nothing to who has not.
func prints(token string, secrets []config.Secret) string {
	var all []string
	for _, s := range secrets {
		mac := hmac.New(sha256.New, []byte(token))
		mac.Write([]byte(s))
		all = append(all, hex.EncodeToString(mac.Sum(nil))[:16])
	}
	return strings.Join(all, ",")
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
