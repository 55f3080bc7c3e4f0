package config

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// ReadAuthorities reads the file of tls.ca: one certificate of an authority or more, PEM. What is not a certificate, or is not one
// of an authority, is an error and not passed over: a node would be refused for it much later.
func ReadAuthorities(path string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it holds a %s, and only certificates belong there", strings.ToLower(block.Type))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New(strings.TrimPrefix(err.Error(), "x509: "))
		}
		if cert.BasicConstraintsValid && !cert.IsCA {
			return nil, fmt.Errorf("%s is no authority (its basicConstraints say CA:FALSE)", cert.Subject)
		}
		all = append(all, cert)
	}
	if len(all) == 0 {
		return nil, errors.New("no certificate is in it")
	}
	return all, nil
}

// readAuthorities sees that client certificates can be verified, and for how long.
func (a *audit) readAuthorities(now time.Time) {
	if a.TLS.CA == "" || !a.sound(keyCA) {
		return
	}
	all, err := ReadAuthorities(a.TLS.CA)
	if err != nil {
		a.fault(problem{codeUnreadable, "tls.ca cannot be read: " + reason(err), ""}, keyCA)
		return
	}
	for _, cert := range all {
		switch end := cert.NotAfter; {
		case end.Before(now):
			a.warn(problem{codeExpiry, "tls.ca: " + cert.Subject.String() + " has expired (" + end.UTC().Format(time.DateOnly) + ")", "take it out, or renew it"}, keyCA)
		case end.Sub(now) < expirySoon:
			a.warn(problem{codeExpiry, "tls.ca: " + cert.Subject.String() + " expires soon (" + end.UTC().Format(time.DateOnly) + ")", ""}, keyCA)
		}
	}
}
