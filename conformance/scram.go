package conformance

import (
	"encoding/base64"
	"time"

	"mellium.im/sasl"

	"github.com/patchbay-im/patchbay/conformance/wire"
)

// scram proves the secret by SASL SCRAM-SHA-256 (RFC 5802, RFC 7677; RFC 6120 6.4), up to the outcome, which stays for the next step.
func (p *player) scram(c *conn, s *step) *Fault {
	user, secret := c.node.Domain, c.node.Secret
	for _, m := range s.marks {
		switch m.key {
		case "user":
			user = m.values[0].expand(p.value)
		case "secret":
			secret = m.values[0].expand(p.value)
		}
	}
	n := sasl.NewClient(sasl.ScramSha256, sasl.Credentials(func() (username, password, identity []byte) {
		return []byte(user), []byte(secret), nil
	}))
	_, first, err := n.Step(nil)
	if err != nil {
		return p.fault(s.at, "SCRAM: "+err.Error(), 0)
	}
	c.say("<auth xmlns='" + nsSASL + "' mechanism='SCRAM-SHA-256'>" + base64.StdEncoding.EncodeToString(first) + "</auth>")
	until := time.Now().Add(5 * p.r.usual)
	for {
		it, come := c.inbox.peek(0)
		if !come && time.Now().Before(until) {
			c.inbox.wait(until)
			continue
		}
		if !come || it.ev.Element == nil || it.ev.Element.Name != (wire.Name{Space: nsSASL, Local: "challenge"}) {
			return p.signature(n, s, it)
		}
		c.inbox.take(1)
		challenge, err := base64.StdEncoding.DecodeString(it.ev.Element.Text())
		if err != nil {
			return p.fault(s.at, "a challenge that is not base64", 0)
		}
		_, response, err := n.Step(challenge)
		if err != nil {
			return p.fault(s.at, "SCRAM: "+err.Error(), 0)
		}
		c.say("<response xmlns='" + nsSASL + "'>" + base64.StdEncoding.EncodeToString(response) + "</response>")
	}
}

// signature holds a success to the server's own proof (RFC 5802 3: a server that does not know the secret cannot make it).
func (p *player) signature(n *sasl.Negotiator, s *step, it item) *Fault {
	if it.ev.Element == nil || it.ev.Element.Name != (wire.Name{Space: nsSASL, Local: "success"}) {
		return nil
	}
	final, err := base64.StdEncoding.DecodeString(it.ev.Element.Text())
	if err == nil {
		_, _, err = n.Step(final)
	}
	if err != nil {
		return p.fault(s.at, "the server's own proof is wrong: "+err.Error(), 0)
	}
	return nil
}
