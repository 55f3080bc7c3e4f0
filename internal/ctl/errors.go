package ctl

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/say"
)

// UsageError is a wrong use of the command: exit 2.
type UsageError struct{ Text string }

// Error says what is wrong and how it would be right.
func (e *UsageError) Error() string { return e.Text }

// NotReachedError says that no patchbay answered: nobody there, too late, or something else: exit 3.
type NotReachedError struct {
	URL  string // that was tried
	Why  string
	Mend string
	Err  error // may be nil
}

// Error names the URL, the cause and what to do.
func (e *NotReachedError) Error() string {
	text := "no answer of a server at " + e.URL + ": " + e.Why
	if e.Err != nil {
		text += ": " + say.Clean(e.Err.Error())
	}
	if e.Mend != "" {
		text += " (" + e.Mend + ")"
	}
	return text
}

// Unwrap gives the cause.
func (e *NotReachedError) Unwrap() error { return e.Err }

// unreached turns an error of the connection into words. The end of the caller's ctx by its own hand stays what it is.
func (r *Remote) unreached(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // the URL is named once
	}
	e := &NotReachedError{URL: r.URL(), Why: "it cannot be asked", Err: err, Mend: "name another with --url or PATCHBAY_URL"}
	var timeout net.Error
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Why, e.Err = "nobody listens there", nil
		e.Mend = "start one with patchbay serve, or name another with --url or PATCHBAY_URL"
	case errors.As(err, &dns):
		e.Why, e.Err = "there is no host "+say.Clean(r.base.Hostname()), nil
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		e.Why, e.Err = fmt.Sprintf("it did not answer within %s", answerTimeout), nil
		if errors.As(err, new(*net.OpError)) {
			e.Why = fmt.Sprintf("it did not take a connection within %s", connectTimeout)
		}
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		e.Why, e.Err, e.Mend = "it speaks http, not https", nil, "use http://"+r.base.Host
	}
	return e
}

func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "application/json" || kind == "application/x-ndjson")
}

// refusal reads an answer that is no success: an error of the server, or of something that is none.
func (r *Remote) refusal(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostError))
	said := new(api.Error)
	if err == nil && isJSON(resp.Header.Get("Content-Type")) && json.Unmarshal(text, said) == nil && said.Code != "" && resp.StatusCode >= 400 {
		return said
	}
	e := &NotReachedError{URL: r.URL(), Mend: "is this the address of listen.http? Name another with --url or PATCHBAY_URL",
		Why: fmt.Sprintf("something else answers there (HTTP %d, %s)", resp.StatusCode, cmp.Or(say.Clean(resp.Header.Get("Content-Type")), "no type"))}
	if to := resp.Header.Get("Location"); to != "" && resp.StatusCode/100 == 3 {
		e.Why = "it sends to " + say.Clean(to) + ", which is not followed, for the token would go there"
		e.Mend = "name that server with --url or PATCHBAY_URL"
	}
	return e
}
