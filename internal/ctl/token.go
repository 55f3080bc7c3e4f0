package ctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/say"
)

// token is what proves that one may change things.
type token struct {
	given string // set once

	warn sync.Once // that it goes in the clear

	mu    sync.Mutex
	found string // guarded by mu; in the file that the server names
}

// mostToken bounds a file with a token.
const mostToken = 4 << 10

// Token gives the token that changes are asked with. Its error is about the token, or one of Get.
func (r *Remote) Token(ctx context.Context) (string, error) { return r.findToken(ctx) }

// findToken gives the token: the one given, or, on the server's own machine, the one in the file that the server names.
func (r *Remote) findToken(ctx context.Context) (string, error) {
	if r.token.given != "" {
		return r.token.given, nil
	}
	if !r.loopback {
		return "", errors.New("this needs the token of the server: set PATCHBAY_TOKEN (a token, @FILE or env:NAME), or run it on the server's machine")
	}
	r.token.mu.Lock()
	found := r.token.found
	r.token.mu.Unlock()
	if found != "" {
		return found, nil
	}
	var status api.Status
	if err := r.once(ctx, question{path: api.PathStatus}, "", r.decode(&status)); err != nil {
		return "", err
	}
	found, err := readNamedToken(status.TokenFile)
	if err != nil {
		return "", err
	}
	r.token.mu.Lock()
	r.token.found = found
	r.token.mu.Unlock()
	return found, nil
}

const setToken = "set PATCHBAY_TOKEN to the token, @FILE or env:NAME"

// errUnnamed is for a server that names no file. It may have no token.
var errUnnamed = errors.New("this needs the token of the server, which does not say where it is: " + setToken)

// readNamedToken reads the file that a server says its token is in. Whoever listens on the port may say anything, so
// the content counts only if it is what a server writes: else the answer could be a way to any file of the operator's.
func readNamedToken(name string) (string, error) {
	const mend = setToken
	if name == "" || !filepath.IsAbs(name) {
		return "", errUnnamed
	}
	text, err := readToken(name)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "", fmt.Errorf("this needs the token in %s, which you may not read: run it as the server's user, or %s", say.Clean(name), mend)
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("this needs the token in %s, which is not on this machine: %s", say.Clean(name), mend)
	case err != nil:
		return "", fmt.Errorf("read the token in %s: %w", say.Clean(name), err)
	case !strings.HasPrefix(text, api.TokenPrefix):
		return "", fmt.Errorf("the server names %s, which holds no token that a server made: %s", say.Clean(name), mend)
	}
	return text, nil
}

// ReadToken reads PATCHBAY_TOKEN: a token, @FILE or env:NAME.
func ReadToken(s string) (string, error) {
	if name, ok := strings.CutPrefix(s, "env:"); ok {
		if v := os.Getenv(name); v != "" {
			return v, nil
		}
		return "", &UsageError{fmt.Sprintf("PATCHBAY_TOKEN is env:%s, and the environment has no %[1]s", say.Clean(name))}
	}
	name, ok := strings.CutPrefix(s, "@")
	if !ok {
		return s, nil
	}
	text, err := readToken(name)
	if err != nil {
		return "", &UsageError{fmt.Sprintf("PATCHBAY_TOKEN is @%s: %v", say.Clean(name), err)}
	}
	return text, nil
}

// readToken reads a file of one line.
func readToken(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() { // to open a pipe would wait for a writer
		return "", errors.New("it is no file")
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, mostToken+1))
	if err != nil {
		return "", err
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 || len(text) > mostToken || bytes.ContainsFunc(text, notVisible) {
		return "", errors.New("it holds no token")
	}
	return string(text), nil
}

// notVisible reports what has no place in a token or a name of HTTP: anything but the visible characters of ASCII.
func notVisible(c rune) bool { return c <= ' ' || c > '~' }

// visible leaves out what has no place in a header.
func visible(s string) string {
	return strings.Map(func(c rune) rune {
		if notVisible(c) {
			return -1
		}
		return c
	}, s)
}
