package config

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// expirySoon is how long before its end a certificate is warned of: time to order another.
const expirySoon = 14 * 24 * time.Hour

// Load reads a configuration file, what its secret_file and tls keys name, and the environment, and puts in the
// values of sets ("KEY=VALUE"). All faults come in one run. The Config is nil if a fault is no mere warning.
func Load(path string, sets ...string) (*Config, Faults) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, Faults{{File: path, Code: codeUnreadable, Message: "cannot be read: " + reason(err)}}
	}
	c, faults := parse(path, data, os.LookupEnv)
	if c == nil {
		return nil, faults
	}
	c.digest = fmt.Sprintf("%x", sha256.Sum256(data))
	for _, s := range sets {
		name, value, _ := strings.Cut(s, "=")
		if bad := c.Set(name, value); bad != nil {
			faults = append(faults, *bad)
		}
	}
	a := &audit{Config: c}
	a.readSecrets()
	a.readCertificate(time.Now())
	return c.judge(append(faults, a.faults...))
}

// reason is an error of a file without the file's name, which the fault says already.
func reason(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return err.Error()
}

// readSecrets reads what secret_file names: one secret in a line, or two while rotating.
func (a *audit) readSecrets() {
	for i := range a.Nodes {
		n := &a.Nodes[i]
		at := nodePath(i, ".secret_file")
		if n.SecretFile == "" || !a.sound(at) || len(n.Secret) > 0 {
			continue
		}
		data, err := os.ReadFile(n.SecretFile)
		if err != nil {
			a.fault(problem{codeUnreadable, "secret_file of " + n.Domain + " cannot be read: " + reason(err), ""}, at)
			continue
		}
		lines := strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' || r == '\r' })
		if len(lines) == 0 || len(lines) > 2 {
			a.fault(problem{codeSecret, fmt.Sprintf("secret_file of %s has %s", n.Domain, count(len(lines), "line")), "one secret, or two while rotating, each on its line"}, at)
			continue
		}
		for _, line := range lines {
			secret, bad := secretKind.read(line, scope{})
			if bad != nil {
				a.fault(problem{bad.code, "secret_file of " + n.Domain + " " + bad.says, bad.mend}, at)
			}
			n.Secret = append(n.Secret, secret)
		}
		if info, err := os.Stat(n.SecretFile); err == nil && info.Mode().Perm()&0o007 != 0 {
			a.warn(problem{codeSecret, "secret_file of " + n.Domain + " is open to every user of this machine", "chmod o= " + n.SecretFile}, at)
		}
	}
}

// readCertificate sees that the server will be able to use its certificate, and for how long.
func (a *audit) readCertificate(now time.Time) {
	if a.TLS.Cert == "" || a.TLS.Key == "" || !a.sound(keyCert, keyKey) {
		return
	}
	cert, certErr := os.ReadFile(a.TLS.Cert)
	if certErr != nil {
		a.fault(problem{codeUnreadable, "tls.cert cannot be read: " + reason(certErr), ""}, keyCert)
	}
	key, keyErr := os.ReadFile(a.TLS.Key)
	if keyErr != nil {
		a.fault(problem{codeUnreadable, "tls.key cannot be read: " + reason(keyErr), ""}, keyKey)
	}
	if certErr != nil || keyErr != nil {
		return
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		a.fault(problem{codeUnreadable, "tls.cert and tls.key are no pair: " + strings.TrimPrefix(err.Error(), "tls: "), ""}, keyCert)
		return
	}
	end := pair.Leaf.NotAfter
	left := end.Sub(now)
	date := " (" + end.UTC().Format(time.DateOnly) + ")"
	switch days := int(left.Abs() / (24 * time.Hour)); {
	case left < 0:
		a.warn(problem{codeExpiry, "tls.cert expired " + count(days, "day") + " ago" + date, ""}, keyCert)
	case left < expirySoon:
		a.warn(problem{codeExpiry, "tls.cert expires in " + count(days, "day") + date, ""}, keyCert)
	}
}
