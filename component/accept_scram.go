package component

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"sync"

	"mellium.im/sasl"

	"github.com/patchbay-im/patchbay/stanza"
)

// iterations of PBKDF2: the least that RFC 7677 4 permits. More would not help: secrets are random, not passwords that
// people remember.
const iterations = 4096

// maxSalted bounds what a vault remembers: entries of about 150 bytes.
const maxSalted = 1 << 14

var (
	errUser      = errors.New("the user name is not the domain of the stream")
	errAuthzid   = errors.New("the authorization identity is not the domain of the stream")
	errMalformed = errors.New("the message is not one of SCRAM-SHA-256")
)

// scram is SCRAM-SHA-256 (RFC 7677) for all secrets of the domain. What the mechanism itself says of an error is never
// passed on: it holds keys.
func (h *Handshake) scram() exchange {
	salt := h.acceptor.vault.salt(h.domain)
	turn := 0 // whose secret the mechanism asks for
	fetch := func(user, authzid []byte, _ string) ([]byte, []byte, int64, error) {
		switch {
		case len(authzid) > 0 && !h.isDomain(authzid):
			return nil, nil, 0, errAuthzid
		case !h.isDomain(user):
			return nil, nil, 0, errUser
		}
		made, err := h.acceptor.vault.salted(h.domain, salt, h.secrets[turn])
		return salt, made, iterations, err
	}
	server := sasl.NewServer(several(len(h.secrets), func(i int) { turn = i }), nil, sasl.SaltedCredentials(fetch))
	return func(response []byte) ([]byte, bool, *Failure) {
		more, out, err := server.Step(response)
		switch {
		case err == nil:
			return out, !more, nil
		case errors.Is(err, errAuthzid):
			return nil, false, h.otherIdentity()
		case errors.Is(err, errMalformed):
			return nil, false, &Failure{"malformed-request", "the message is not one of SCRAM-SHA-256 without channel binding; check the library of the node (RFC 5802 7)"}
		case errors.Is(err, errUser):
			return nil, false, &Failure{"not-authorized", "the user name of SCRAM is not the domain of the stream; send " + h.shown() + " as both"}
		}
		return nil, false, &Failure{"not-authorized", "the proof does not match the secret for " + h.shown() + "; check the secret"}
	}
}

// otherIdentity refuses to act for another name.
func (h *Handshake) otherIdentity() *Failure {
	return &Failure{"invalid-authzid", "a node can act for its own domain only; leave the authorization identity out, or send " + h.shown()}
}

// isDomain reports whether a name is the domain of the stream.
func (h *Handshake) isDomain(name []byte) bool {
	a, _, err := stanza.ParseAddress(name, false, nil)
	return err == nil && a.IsDomain() && a.String() == h.domain
}

// several is SCRAM-SHA-256 where any of n secrets may be the right one, as while a secret is rotated. The salt is the same
// for all, so the challenge is too; each secret has its own keys, and all of them are tried. choose says which is asked for.
func several(n int, choose func(i int)) sasl.Mechanism {
	first := func(neg *sasl.Negotiator, message []byte) (more bool, challenge []byte, caches any, err error) {
		kept := make([]any, n)
		for i := range kept {
			choose(i)
			// a copy each, because it is changed in place
			if more, challenge, kept[i], err = sasl.ScramSha256.Next(neg, bytes.Clone(message), nil); err != nil {
				break
			}
		}
		if err != nil && !errors.Is(err, errUser) && !errors.Is(err, errAuthzid) {
			err = errMalformed
		}
		return more, challenge, kept, err
	}
	final := func(neg *sasl.Negotiator, message []byte, kept []any) (signature []byte, err error) {
		err = sasl.ErrAuthn
		for i := range kept {
			_, out, _, bad := sasl.ScramSha256.Next(neg, bytes.Clone(message), kept[i])
			switch {
			case bad == nil:
				signature, err = out, nil
			case err != nil && (len(message) == 0 || string(out) == "e=invalid-encoding"):
				err = errMalformed
			}
		}
		return signature, err
	}
	return sasl.Mechanism{Name: sasl.ScramSha256.Name, Next: func(neg *sasl.Negotiator, message []byte, data any) (bool, []byte, any, error) {
		kept, begun := data.([]any)
		if !begun {
			return first(neg, message)
		}
		signature, err := final(neg, message, kept)
		return false, signature, nil, err
	}}
}

// vault keeps what is costly to make of secrets. The zero value is ready.
type vault struct {
	mu    sync.Mutex
	key   []byte // of the salts, random for each process
	known map[salting][]byte
}

// salting is one secret of one domain. The secret itself is not kept.
type salting struct {
	domain string
	secret [sha256.Size]byte
}

// salt gives the salt of a domain, the same for the life of the process: random to others, and no record has to be kept.
func (v *vault) salt(domain string) []byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.key == nil {
		v.key = make([]byte, sha256.Size)
		_, _ = rand.Read(v.key) // never fails (crypto/rand)
	}
	mac := hmac.New(sha256.New, v.key)
	mac.Write([]byte(domain))
	return mac.Sum(nil)[:16]
}

// salted gives SaltedPassword of RFC 5802 3, made once for each secret of a domain: it costs a millisecond.
func (v *vault) salted(domain string, salt, secret []byte) ([]byte, error) {
	at := salting{domain, sha256.Sum256(secret)}
	v.mu.Lock()
	made := v.known[at]
	v.mu.Unlock()
	if made != nil {
		return made, nil
	}
	made, err := pbkdf2.Key(sha256.New, string(secret), salt, iterations, sha256.Size)
	if err != nil {
		return nil, err // FIPS 140 forbids a secret this short
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known == nil || len(v.known) >= maxSalted {
		v.known = map[salting][]byte{}
	}
	v.known[at] = made
	return made, nil
}
