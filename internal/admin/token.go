package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/patchbay-im/patchbay/internal/admin/api"
)

const (
	minToken  = 16      // bytes: below that a token can be guessed
	mostToken = 4 << 10 // bytes of its file
)

// token is what each change has to show. Its file is read for each request that shows one, so a new token counts from
// the next request on.
type token struct{ file string } // "": there is none

var errNoToken = errors.New("no token is set")

// make makes the file, unless it is there. It appears whole or not at all, with mode 0600, and a server that starts at
// the same moment gets the same one: a link, unlike a rename, never replaces.
func (t *token) make() error {
	if _, err := os.Lstat(t.file); err == nil {
		_, err := t.read()
		return err
	}
	dir := filepath.Dir(t.file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	f, err := os.CreateTemp(dir, filepath.Base(t.file)+"-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write the admin token: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	_, err = f.WriteString(api.TokenPrefix + hex.EncodeToString(random[:]) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the admin token: %w", err)
	}
	if err := os.Link(f.Name(), t.file); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write the admin token: %w", err)
	}
	return nil
}

// read gives the token. The error is errNoToken, or says what is wrong with the file.
func (t *token) read() (string, error) {
	if t.file == "" {
		return "", errNoToken
	}
	f, err := os.Open(t.file)
	if err != nil {
		return "", fmt.Errorf("read the admin token: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, mostToken+1))
	if err != nil {
		return "", fmt.Errorf("read the admin token: %w", err)
	}
	text := strings.TrimSpace(string(data))
	switch {
	case len(data) > mostToken:
		return "", fmt.Errorf("read the admin token: %s has more than %d bytes", t.file, mostToken)
	case len(text) < minToken:
		return "", fmt.Errorf("read the admin token: %s has %d bytes, %d is the least; remove it and start again", t.file, len(text), minToken)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", fmt.Errorf("read the admin token: %s is not one line of printable ASCII", t.file)
	}
	return text, nil
}

// matches reports, in a time that tells nothing, whether what was shown is the token.
func (t *token) matches(shown string) (bool, error) {
	secret, err := t.read()
	if err != nil {
		return false, err
	}
	want, have := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(shown))
	return subtle.ConstantTimeCompare(want[:], have[:]) == 1, nil
}
