package config

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
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
		bad := Fault{File: path, Code: codeUnreadable, Message: "cannot be read: " + reason(err)}
		if errors.Is(err, fs.ErrNotExist) {
			bad.Mend = "patchbay init " + path + " makes one"
		}
		return nil, Faults{bad}
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
	a.readToken()
	a.readCertificate(time.Now())
	a.readAuthorities(time.Now())
	a.ownFile(path, data)
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
		a.private("secret_file of "+n.Domain, n.SecretFile, at)
	}
}

// private warns of a file that more people can read than should.
func (a *audit) private(what, file, at string) {
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o007 != 0 {
		a.warn(problem{codeSecret, what + " is open to every user of this machine", "chmod o= " + file}, at)
	}
}

// ownFile warns of a configuration that others can read although secrets stand in it.
func (a *audit) ownFile(path string, data []byte) {
	for i, n := range a.Nodes {
		if n.SecretFile == "" && slices.ContainsFunc(n.Secret, func(s Secret) bool { return bytes.Contains(data, []byte(s)) }) {
			a.private("the secret of "+n.Domain+" stands in this file, which", path, nodePath(i, ".secret"))
			return
		}
	}
}

// minToken is the least length of the admin token in bytes: below that it can be guessed.
const minToken = 16

// mendToken makes a token that ctl takes from the file by itself: it begins as those that a server makes.
const mendToken = "(umask 077; echo patchbay-admin-$(openssl rand -hex 32) > FILE)"

// readToken sees that the server will be able to use the token that it is to read. One that is not named it makes itself.
func (a *audit) readToken() {
	file := a.Admin.TokenFile
	if file == "" || !a.sound(keyTokenFile) {
		return
	}
	data, err := os.ReadFile(file)
	if err != nil {
		a.fault(problem{codeUnreadable, "admin.token_file cannot be read: " + reason(err), mendToken}, keyTokenFile)
		return
	}
	switch text := strings.TrimSpace(string(data)); {
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		a.fault(problem{codeSecret, "admin.token_file is not one line of printable ASCII", mendToken}, keyTokenFile)
	case len(text) < minToken:
		a.fault(problem{codeSecret, fmt.Sprintf("admin.token_file has %s; %d is the least", count(len(text), "byte"), minToken), mendToken}, keyTokenFile)
	}
	a.private("admin.token_file", file, keyTokenFile)
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
	a.private("tls.key", a.TLS.Key, keyKey)
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
