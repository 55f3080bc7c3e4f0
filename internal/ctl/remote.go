package ctl

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/patchbay-im/patchbay/internal/admin/api"
)

// DefaultURL is where a server without a file serves its admin API.
const DefaultURL = "http://127.0.0.1:5280"

const (
	connectTimeout = 5 * time.Second
	answerTimeout  = 30 * time.Second // a whole answer; a stream has no end of its own
	mostAnswer     = 64 << 20
	mostError      = 1 << 20 // bytes of an answer that is no success
)

// Options say whom to ask, and as whom.
type Options struct {
	URL   string            // "" is DefaultURL; without a scheme it is http
	Token string            // "" is the file that the server names, if the URL is on loopback
	Who   string            // who asks, for the server's log; it is not proved
	Note  func(text string) // is told what a person should know; may be nil
}

// Remote is a server that is asked over HTTP. It may be used by several goroutines.
type Remote struct {
	// set once
	base     *url.URL
	who      string
	note     func(string)
	loopback bool
	most     int64 // bytes of one answer, and of one line of a stream
	http     *http.Client

	token token
}

// New checks the options; it does not ask the server. Its error is a *UsageError.
func New(o Options) (*Remote, error) {
	base, err := parseURL(cmp.Or(o.URL, DefaultURL))
	if err != nil {
		return nil, err
	}
	r := &Remote{base: base, who: visible(o.Who), note: o.Note, loopback: isLoopback(base.Hostname()), most: mostAnswer,
		token: token{given: o.Token}}
	if strings.ContainsFunc(o.Token, notVisible) {
		return nil, &UsageError{"the token has characters that no token has (PATCHBAY_TOKEN)"}
	}
	if r.note == nil {
		r.note = func(string) {}
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSHandshakeTimeout:   connectTimeout,
		ResponseHeaderTimeout: answerTimeout,
		MaxIdleConns:          2,
		IdleConnTimeout:       answerTimeout,
	}
	if r.loopback {
		transport.Proxy = nil // what is on this machine is asked by this machine
	}
	r.http = &http.Client{Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return r, nil
}

// parseURL reads what a person names a server by.
func parseURL(s string) (*url.URL, error) {
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, &UsageError{fmt.Sprintf("%q is no URL; for example %s", s, DefaultURL)}
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, &UsageError{fmt.Sprintf("%q is no URL of http or https; for example %s", s, DefaultURL)}
	case u.User != nil:
		return nil, &UsageError{"the URL holds a name or a password, which ps shows to others; use PATCHBAY_TOKEN"}
	case u.RawQuery != "" || u.Fragment != "":
		return nil, &UsageError{fmt.Sprintf("%q names more than a server; for example %s", s, DefaultURL)}
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// URL gives the server's address, for people.
func (r *Remote) URL() string { return r.base.String() }

// Get asks for one of the paths of package api. Its error is a *api.Error of the server, a *NotReachedError, or about
// the token.
func Get[T any](ctx context.Context, r *Remote, path string, query url.Values) (T, error) {
	var answer T
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return answer, r.ask(ctx, question{path: path, query: query}, r.decode(&answer))
}

// GetWithToken is Get for what is told only to those who show the token.
func GetWithToken[T any](ctx context.Context, r *Remote, path string, query url.Values) (T, error) {
	var answer T
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return answer, r.ask(ctx, question{path: path, query: query, token: true}, r.decode(&answer))
}

// Post changes something; body is one of the types of package api, or nil. Errors are those of Get.
func Post[T any](ctx context.Context, r *Remote, path string, body any) (T, error) {
	var answer T
	text := []byte("{}")
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return answer, fmt.Errorf("write the request: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return answer, r.ask(ctx, question{path: path, body: text, token: true}, r.decode(&answer))
}

// Stream asks for a path that answers with one JSON value per line, and hands on each until the stream, ctx or use
// ends it. Errors are those of Get, and those of use.
func Stream[T any](ctx context.Context, r *Remote, path string, query url.Values, use func(T) error) error {
	return r.ask(ctx, question{path: path, query: query, token: true}, func(body io.Reader) error {
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, int(r.most))
		for lines.Scan() {
			if len(bytes.TrimSpace(lines.Bytes())) == 0 {
				continue // it tells only that the server is still there
			}
			var line T
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				return fmt.Errorf("read a line of the answer: %w", err)
			}
			if err := use(line); err != nil {
				return &useError{err}
			}
		}
		return lines.Err()
	})
}

// useError is an error of the caller, which is no fault of the answer.
type useError struct{ err error }

func (e *useError) Error() string { return e.err.Error() }

// decode reads one JSON value. A longer answer than anybody asks for is an error, not a full memory.
func (r *Remote) decode(into any) func(io.Reader) error {
	return func(body io.Reader) error {
		limited := &io.LimitedReader{R: body, N: r.most + 1}
		err := json.NewDecoder(limited).Decode(into)
		if limited.N <= 0 {
			return fmt.Errorf("it is longer than %d MiB; ask for less", r.most>>20)
		}
		return err
	}
}

// question is one request.
type question struct {
	path  string
	query url.Values
	body  []byte // nil: GET
	token bool   // it is answered only to those who show the token
}

// ask sends a question and hands the body of a success to read. A read that turns out to need the token, as it does
// from another machine, is asked again with it.
func (r *Remote) ask(ctx context.Context, q question, read func(io.Reader) error) error {
	secret := r.token.given
	if secret == "" && q.token {
		var err error
		if secret, err = r.findToken(ctx); err != nil {
			return r.without(ctx, q, err)
		}
	}
	err := r.once(ctx, q, secret, read)
	var refused *api.Error
	if secret == "" && errors.As(err, &refused) && refused.Code == api.CodeUnauthorized && r.loopback {
		if secret, err = r.findToken(ctx); err != nil {
			return err
		}
		return r.once(ctx, q, secret, read)
	}
	return err
}

// without gives the better error where no token was found: a server that has none says so itself, and what to do.
func (r *Remote) without(ctx context.Context, q question, none error) error {
	var refused *api.Error
	if !errors.Is(none, errUnnamed) {
		return none
	}
	if err := r.once(ctx, q, "", func(io.Reader) error { return nil }); errors.As(err, &refused) && refused.Code == api.CodeForbidden {
		return err
	}
	return none
}

// once sends a question with a secret, which may be "".
func (r *Remote) once(ctx context.Context, q question, secret string, read func(io.Reader) error) error {
	req, err := r.request(ctx, q, secret)
	if err != nil {
		return err
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return r.unreached(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }() // what was read of it has been judged
	if resp.StatusCode != http.StatusOK || !isJSON(resp.Header.Get("Content-Type")) {
		return r.refusal(resp)
	}
	err = read(resp.Body)
	var own *useError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own.err
	case ctx.Err() != nil:
		return r.unreached(ctx, err)
	}
	return &NotReachedError{URL: r.URL(), Why: "its answer to " + q.path + " cannot be read", Err: err,
		Mend: "compare versions: patchbay version"}
}

func (r *Remote) request(ctx context.Context, q question, secret string) (*http.Request, error) {
	to, method := *r.base, http.MethodGet
	to.Path += q.path
	to.RawQuery = q.query.Encode()
	var body io.Reader
	if q.body != nil {
		method, body = http.MethodPost, bytes.NewReader(q.body)
	}
	req, err := http.NewRequestWithContext(ctx, method, to.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "patchbay-ctl")
	if q.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.who != "" {
		req.Header.Set(api.HeaderWho, r.who)
	}
	if secret != "" {
		if to.Scheme == "http" && !r.loopback {
			r.token.warn.Do(func() { r.note("warning: the token goes to " + to.Host + " in the clear; use https, or a tunnel") })
		}
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	return req, nil
}
