package component

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mellium.im/sasl"

	wire "github.com/patchbay-im/patchbay/stanza"
)

const (
	fewestRounds = 4096    // of PBKDF2 (RFC 7677 section 4); with fewer a proof that somebody records is easier to guess the secret from
	mostRounds   = 100_000 // a hostile server must not keep the node busy
	mostSalted   = 16      // salted secrets that are remembered: one for each server
	saslSteps    = 4       // elements that a server may send
	external     = "EXTERNAL"
)

// errUnproved says that who answers does not know the secret.
const errUnproved = unfit("the server does not prove that it knows the node's secret; nothing more was said to it")

// authenticate proves who the node is (RFC 6120 6.4), and has the server prove that it knows the secret.
func (o *dialing) authenticate(offered []string) error {
	mech, err := o.mechanism(offered)
	if err != nil {
		return err
	}
	cfg := o.node.cfg
	machine := sasl.NewClient(mech, sasl.Credentials(func() (username, password, identity []byte) {
		return []byte(o.node.domain.String()), []byte(cfg.Secret), nil
	}))
	more, said, err := machine.Step(nil)
	if err != nil {
		return err
	}
	begin := "<auth xmlns='" + wire.NSSASL + "' mechanism='" + mech.Name + "'>" + encodeSASL(said) + "</auth>"
	if err := o.write([]byte(begin)); err != nil {
		return err
	}
	for range saslSteps {
		start, data, err := o.saslElement(mech.Name)
		if err != nil {
			return err
		}
		success := start.Name.Local == "success"
		if more || len(data) > 0 {
			if more, said, err = machine.Step(data); err != nil {
				return err
			}
		}
		switch {
		case success && more:
			return errUnproved
		case success:
			return nil
		}
		if err := o.write([]byte("<response xmlns='" + wire.NSSASL + "'>" + encodeSASL(said) + "</response>")); err != nil {
			return err
		}
	}
	return unfit("the server does not come to an end with SASL")
}

// mechanism chooses how to authenticate.
func (o *dialing) mechanism(offered []string) (sasl.Mechanism, error) {
	switch {
	case o.secure && hasCertificate(o.node.cfg.TLS) && slices.Contains(offered, external):
		return sasl.Mechanism{Name: external,
			Start: func(*sasl.Negotiator) (bool, []byte, any, error) { return false, nil, nil, nil },
			Next: func(*sasl.Negotiator, []byte, any) (bool, []byte, any, error) {
				return false, nil, nil, sasl.ErrTooManySteps
			}}, nil
	case o.node.cfg.Secret != "" && slices.Contains(offered, sasl.ScramSha256.Name):
		return o.node.salted.mechanism(), nil
	}
	return sasl.Mechanism{}, unfit(fmt.Sprintf("the server offers no mechanism that the node can use; it offers %s", strings.Join(offered, ", ")))
}

// saslElement reads a challenge or a success, with what is in it.
func (o *dialing) saslElement(mechanism string) (xml.StartElement, []byte, error) {
	start, rest, err := o.element()
	if err != nil {
		return start, nil, err
	}
	if start.Name.Space != wire.NSSASL {
		return start, nil, unfit(fmt.Sprintf("the server sent %q within SASL", start.Name.Local))
	}
	switch start.Name.Local {
	case "challenge", "success":
		data, err := decodeSASL(text(rest))
		return start, data, err
	case "failure":
		refusal := &Failure{Condition: firstChild(rest).Local}
		for i, tok := range rest {
			if t, ok := tok.(xml.StartElement); ok && t.Name.Local == "text" {
				refusal.Text = text(rest[i+1:])
			}
		}
		return start, nil, fmt.Errorf("authenticate by %s: %w", mechanism, refusal)
	}
	return start, nil, unfit(fmt.Sprintf("the server sent %q within SASL", start.Name.Local))
}

// text gives the character data up to the next tag.
func text(list []xml.Token) string {
	var b strings.Builder
	for _, tok := range list {
		data, ok := tok.(xml.CharData)
		if !ok {
			break
		}
		b.Write(data)
	}
	return b.String()
}

// encodeSASL gives data as SASL wants it (RFC 6120 6.4.2): "=" stands for none.
func encodeSASL(data []byte) string {
	if len(data) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(data)
}

func decodeSASL(s string) ([]byte, error) {
	if s == "" || s == "=" {
		return nil, nil
	}
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, unfit("the server's element of SASL is not in base64 (RFC 6120 6.4.2)")
	}
	return data, nil
}

// salted remembers salted secrets: PBKDF2 is slow on purpose, and a node comes back with the same secret.
type salted struct {
	secret []byte
	keys   map[string][]byte // by salt and rounds
}

// mechanism is SCRAM-SHA-256 (RFC 5802, RFC 7677). mellium's own client half does not end when a challenge has an empty
// field, does what a server says about rounds, and remembers nothing; so this reads the challenges itself.
func (s *salted) mechanism() sasl.Mechanism {
	return sasl.Mechanism{Name: sasl.ScramSha256.Name, Start: sasl.ScramSha256.Start, Next: s.next}
}

func (s *salted) next(m *sasl.Negotiator, challenge []byte, data any) (more bool, said []byte, cache any, err error) {
	if m.State()&sasl.StepMask != sasl.AuthTextSent {
		want, _ := data.([]byte) // none after the last step: then nothing is equal to it
		if len(want) == 0 || !hmac.Equal(challenge, want) {
			return false, nil, nil, errUnproved
		}
		return false, nil, nil, nil
	}
	first, _ := data.([]byte) // what Start has said, without its header
	c, err := readChallenge(challenge, m.Nonce())
	if err != nil {
		return false, nil, nil, err
	}
	a := s.answer(c, first, challenge)
	return true, a.final, a.verifier, nil
}

// answer is what the node says to a challenge, and what the server says then if it knows the secret.
type answer struct{ final, verifier []byte }

// answer computes what RFC 5802 section 3 says. first and challenge are the messages before.
func (s *salted) answer(c challenge, first, challenge []byte) answer {
	final := append([]byte("c="+base64.StdEncoding.EncodeToString([]byte("n,,"))+",r="), c.nonce...)
	message := bytes.Join([][]byte{first, challenge, final}, []byte(","))
	key := s.key(c)
	clientKey := mac(key, []byte("Client Key"))
	stored := sha256.Sum256(clientKey)
	proof := mac(stored[:], message)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	signature := mac(mac(key, []byte("Server Key")), message)
	return answer{base64.StdEncoding.AppendEncode(append(final, ",p="...), proof),
		base64.StdEncoding.AppendEncode([]byte("v="), signature)}
}

// challenge is the server's first message (RFC 5802 section 7).
type challenge struct {
	nonce, salt []byte
	rounds      int
}

// readChallenge reads the server's first message, and refuses what nobody should answer.
func readChallenge(raw, nonce []byte) (challenge, error) {
	var c challenge
	fields := bytes.Split(raw, []byte(","))
	if len(fields) < 3 || !bytes.HasPrefix(fields[0], []byte("r=")) || !bytes.HasPrefix(fields[1], []byte("s=")) ||
		!bytes.HasPrefix(fields[2], []byte("i=")) {
		return c, unfit("the server's challenge is not as SCRAM has it (RFC 5802 section 7)")
	}
	c.nonce = fields[0][2:]
	if len(c.nonce) <= len(nonce) || !bytes.HasPrefix(c.nonce, nonce) {
		return c, unfit("the server's challenge does not go on with the node's nonce (RFC 5802 section 5.1)")
	}
	var err error
	if c.salt, err = base64.StdEncoding.DecodeString(string(fields[1][2:])); err != nil || len(c.salt) == 0 {
		return c, unfit("the server's challenge has no salt (RFC 5802 section 5.1)")
	}
	if c.rounds, err = strconv.Atoi(string(fields[2][2:])); err != nil || c.rounds < fewestRounds || c.rounds > mostRounds {
		return c, unfit(fmt.Sprintf("the server's challenge wants %q rounds of PBKDF2; a node does %d to %d", fields[2][2:], fewestRounds, mostRounds))
	}
	return c, nil
}

// key gives the salted secret.
func (s *salted) key(c challenge) []byte {
	name := strconv.Itoa(c.rounds) + " " + string(c.salt)
	if key, ok := s.keys[name]; ok {
		return key
	}
	if s.keys == nil || len(s.keys) >= mostSalted {
		s.keys = make(map[string][]byte)
	}
	key := sasl.SCRAMSaltPassword(sha256.New, s.secret, c.salt, c.rounds)
	s.keys[name] = key
	return key
}

func mac(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}
