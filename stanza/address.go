package stanza

import (
	"bytes"
	"errors"
	"fmt"

	"mellium.im/xmpp/jid"
)

// Address is a JID in canonical form (RFC 7622), in bytes that it borrows: from a stanza, or from the scratch
// space given to ParseAddress. Addresses are the same if and only if their bytes are.
type Address struct {
	raw    []byte
	domain int32 // where the domainpart begins
	bare   int32 // where the bare JID ends
}

// AddressError says why bytes are no address. Its condition as a stanza error is jid-malformed.
type AddressError struct {
	Part string // localpart, domainpart, resourcepart
	Err  error
}

// Error names the part and the cause.
func (e *AddressError) Error() string { return "parse address: " + e.Part + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *AddressError) Unwrap() error { return e.Err }

// maxPart is the greatest length of each part in octets (RFC 7622 3.1).
const maxPart = 1023

// ParseAddress makes an Address of an attribute value as written; escaped is Attr.Escaped. When the value is
// canonical ASCII already, as nearly all are, the Address borrows from raw and nothing is allocated. Else the
// canonical form is appended to scratch, which is returned grown, and the Address borrows from there. The
// error is an *AddressError; nothing is ever cut to fit.
func ParseAddress(raw []byte, escaped bool, scratch []byte) (Address, []byte, error) {
	if !escaped {
		if a, ok := plainAddress(raw); ok {
			return a, scratch, nil
		}
	}
	return prepareAddress(raw, escaped, scratch)
}

// What a byte may be in a canonical ASCII address.
const (
	isLocal    = 1 << iota // RFC 7622 3.3: UsernameCaseMapped, without the characters of 3.3.1
	isLabel                // letters, digits and hyphens of a domain name, lower case
	isResource             // RFC 7622 3.4: printable ASCII
)

var addressClass = buildAddressClass()

func buildAddressClass() (t [256]uint8) {
	for c := ' '; c < 0x7F; c++ {
		t[c] |= isResource
		lower := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if lower || c == '-' {
			t[c] |= isLabel
		}
		if c > ' ' && !(c >= 'A' && c <= 'Z') && bytes.IndexByte([]byte(`"&'/:<>@`), byte(c)) < 0 {
			t[c] |= isLocal
		}
	}
	return t
}

// plainAddress takes apart what is canonical beyond doubt, in one pass.
func plainAddress(raw []byte) (a Address, ok bool) {
	i, n := 0, len(raw)
	for i < n && addressClass[raw[i]]&isLocal != 0 {
		i++
	}
	domain := 0
	if i < n && raw[i] == '@' {
		if i == 0 || i > maxPart {
			return a, false
		}
		domain = i + 1
	}
	bare, ok := plainDomain(raw, domain)
	if !ok {
		return a, false
	}
	if bare < n {
		if n-bare-1 > maxPart || n-bare == 1 {
			return a, false
		}
		for _, c := range raw[bare+1:] {
			if addressClass[c]&isResource == 0 {
				return a, false
			}
		}
	}
	return Address{raw: raw, domain: int32(domain), bare: int32(bare)}, true
}

// plainDomain gives the index of the '/' behind the domainpart at i, or of the end. It takes lower-case names
// whose labels have 1 to 63 characters and no hyphen at an end nor at the third and fourth place (RFC 5891
// 4.2.3.1: A-labels and what is reserved), and whose last label has a letter: IP addresses do not.
func plainDomain(raw []byte, i int) (end int, ok bool) {
	from, label, letter := i, i, false
	for ; ; i++ {
		if i < len(raw) && addressClass[raw[i]]&isLabel != 0 {
			letter = letter || raw[i] >= 'a'
			continue
		}
		size := i - label
		if size == 0 || size > 63 || raw[label] == '-' || raw[i-1] == '-' ||
			size >= 4 && raw[label+2] == '-' && raw[label+3] == '-' {
			return 0, false
		}
		if i == len(raw) || raw[i] == '/' {
			return i, letter && i-from <= maxPart
		}
		if raw[i] != '.' {
			return 0, false
		}
		label, letter = i+1, false
	}
}

// prepareAddress is the slow way: RFC 7622 preparation and enforcement by the jid package.
func prepareAddress(raw []byte, escaped bool, scratch []byte) (Address, []byte, error) {
	if escaped {
		raw = AppendUnescaped(nil, raw)
	}
	local, domain, resource, err := jid.SplitString(string(raw))
	if err != nil {
		part := "localpart"
		if i := bytes.IndexByte(raw, '/'); i >= 0 && i == len(raw)-1 {
			part = "resourcepart"
		}
		return Address{}, scratch, &AddressError{part, err}
	}
	j, err := jid.New(local, domain, resource)
	if err != nil {
		return Address{}, scratch, &AddressError{faultyPart(local, domain), err}
	}
	if err := checkDomain(j.Domainpart()); err != nil {
		return Address{}, scratch, &AddressError{"domainpart", err}
	}
	if local != "" && j.Localpart() == "" || resource != "" && j.Resourcepart() == "" {
		return Address{}, scratch, &AddressError{faultyPart(local, domain), errEmptied}
	}
	from := len(scratch)
	scratch = append(scratch, j.String()...)
	a := Address{raw: scratch[from:len(scratch):len(scratch)]}
	if n := len(j.Localpart()); n > 0 {
		a.domain = int32(n) + 1
	}
	a.bare = a.domain + int32(len(j.Domainpart()))
	return a, scratch, nil
}

var errEmptied = errors.New("nothing is left after preparation")

// faultyPart finds the part that the jid package refused; it does not say.
func faultyPart(local, domain string) string {
	if _, err := jid.New("", domain, ""); err != nil {
		return "domainpart"
	}
	if _, err := jid.New(local, "localhost", ""); err != nil {
		return "localpart"
	}
	return "resourcepart"
}

// checkDomain refuses domain names that the jid package lets through although their canonical form would be
// read differently the next time: empty labels, and characters that separate the parts.
func checkDomain(domain string) error {
	if domain[0] == '[' {
		return nil // an IPv6 address, which the jid package has parsed
	}
	size := 0
	for _, c := range domain + "." {
		switch {
		case c == '.' && size == 0:
			return errors.New("there is an empty label")
		case c == '.':
			size = 0
		case c <= ' ' || c == '@' || c == '/' || c >= 'A' && c <= 'Z' || c == 0x7F:
			return fmt.Errorf("there is a %q", c)
		default:
			size++
		}
	}
	return nil
}

// Bytes gives the whole address; borrowed.
func (a Address) Bytes() []byte { return a.raw }

// Bare gives the address without its resourcepart; borrowed.
func (a Address) Bare() []byte { return a.raw[:a.bare] }

// Local gives the localpart, which may be empty; borrowed.
func (a Address) Local() []byte { return a.raw[:max(a.domain-1, 0)] }

// Domain gives the domainpart; borrowed.
func (a Address) Domain() []byte { return a.raw[a.domain:a.bare] }

// Resource gives the resourcepart, which may be empty; borrowed.
func (a Address) Resource() []byte {
	if a.IsBare() {
		return nil
	}
	return a.raw[a.bare+1:]
}

// IsBare tells whether there is no resourcepart.
func (a Address) IsBare() bool { return int(a.bare) == len(a.raw) }

// IsDomain tells whether there is nothing but a domainpart.
func (a Address) IsDomain() bool { return a.domain == 0 && a.IsBare() }

// IsZero tells whether this is no address at all.
func (a Address) IsZero() bool { return len(a.raw) == 0 }

// Equal tells whether both are the same address.
func (a Address) Equal(o Address) bool { return bytes.Equal(a.raw, o.raw) }

// String gives the address as a string of its own.
func (a Address) String() string { return string(a.raw) }

// Clone gives the same address in bytes of its own, to keep it beyond the buffer it borrows from.
func (a Address) Clone() Address {
	a.raw = bytes.Clone(a.raw)
	return a
}
