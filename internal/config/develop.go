package config

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
)

// DevSecretFile is the name, in the data directory, of the secret that Development makes.
const DevSecretFile = "dev-secret"

// Development gives the configuration of a server that was given no file: Default, with any node under *.im.example
// by one secret. The secret is made at the first start, kept in DevSecretFile of dataDir (mode 0600), and is the same
// the next time; with Memory it is a new one each time. The error says what is wrong with the file.
func Development(dataDir string) (*Config, error) {
	secret, err := devSecret(dataDir)
	if err != nil {
		return nil, err
	}
	c := Default()
	n := newNode()
	n.Domain, n.Secret, n.Users = "*."+c.Users[0], []Secret{secret}, c.Users
	c.Data, c.Nodes = dataDir, []Node{n}
	return c, nil
}

func devSecret(dir string) (Secret, error) {
	if dir == Memory {
		return newSecret()
	}
	path := filepath.Join(dir, DevSecretFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return keepSecret(dir, path)
	}
	if err != nil {
		return "", fmt.Errorf("read the development secret: %w", err)
	}
	secret := strings.TrimSpace(string(data))
	if len(secret) < MinSecret {
		return "", fmt.Errorf("read the development secret: %s has %s, %d is the least; remove it and start again", path, count(len(secret), "byte"), MinSecret)
	}
	return Secret(secret), nil
}

// keepSecret makes the secret and its file. The file appears whole or not at all, and a server that starts at the same
// moment gets the same one: a link, unlike a rename, never replaces.
func keepSecret(dir, path string) (Secret, error) {
	secret, err := newSecret()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the data directory: %w", err)
	}
	f, err := os.CreateTemp(dir, DevSecretFile+"-*") // mode 0600
	if err != nil {
		return "", fmt.Errorf("write the development secret: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(string(secret) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("write the development secret: %w", err)
	}
	switch err := os.Link(f.Name(), path); {
	case errors.Is(err, fs.ErrExist):
		return devSecret(dir)
	case err != nil:
		return "", fmt.Errorf("write the development secret: %w", err)
	}
	return secret, nil
}

// newSecret is dev- and 16 random base62 characters: 95 bits.
func newSecret() (Secret, error) {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	secret := []byte("dev-")
	for range 16 {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(digits))))
		if err != nil {
			return "", fmt.Errorf("make the development secret: %w", err)
		}
		secret = append(secret, digits[n.Int64()])
	}
	return Secret(secret), nil
}
