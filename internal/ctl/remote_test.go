package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/patchbay-im/patchbay/internal/admin/api"
)

const secretOfTests = api.TokenPrefix + "0123456789abcdef0123456789abcdef"

// answer writes v as the admin API does.
func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

// serve starts a server of HTTP and gives its address.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func remote(t *testing.T, o Options) *Remote {
	t.Helper()
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNew(t *testing.T) {
	for _, c := range []struct{ url, token, want string }{
		{"", "", ""},
		{"hub1.im.example:5280", "", ""},
		{"https://hub1.im.example/patchbay/", "", ""},
		{"http://[::1]:5280", "", ""},
		{"ftp://hub1", "", "no URL of http or https"},
		{"http://", "", "no URL of http or https"},
		{"http://hub1:port", "", "no URL"},
		{"http://root:secret@hub1", "", "ps shows to others"},
		{"http://hub1/?node=a", "", "more than a server"},
		{"", "two words", "no token has"},
		{"", "a\nX-Header: b", "no token has"},
	} {
		_, err := New(Options{URL: c.url, Token: c.token})
		var usage *UsageError
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &usage) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q %q: %v, want %q", c.url, c.token, err, c.want)
		}
	}
	if r := remote(t, Options{URL: "https://hub1.im.example/patchbay/"}); r.loopback || r.URL() != "https://hub1.im.example/patchbay" {
		t.Errorf("%s, loopback %t", r.URL(), r.loopback)
	}
}

func TestAsk(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, req *http.Request) {
		switch req.Method + " " + req.URL.Path {
		case "GET /prefix" + api.PathNodes:
			if req.Header.Get("Authorization") != "" {
				t.Error("a read that is open got the token")
			}
			answer(w, 200, api.Nodes{Server: req.URL.Query().Get("domain"), Nodes: []api.Node{{Domain: "a.im.example"}}})
		case "POST /prefix" + api.PathKick:
			if req.Header.Get("Authorization") != "Bearer t" || req.Header.Get(api.HeaderWho) != "root@host" || req.Header.Get("Content-Type") != "application/json" {
				t.Errorf("headers are %v", req.Header)
			}
			var k api.Kick
			if err := json.NewDecoder(req.Body).Decode(&k); err != nil || k.Target != "a.im.example/7" {
				t.Errorf("body is %+v, %v", k, err)
			}
			answer(w, 200, api.Kicked{Links: 1})
		default:
			answer(w, 404, api.Error{Code: api.CodeNotFound, Message: "there is no such node", Mend: "patchbay ctl nodes"})
		}
	})
	r := remote(t, Options{URL: url + "/prefix", Who: "root @\r\nhost"})
	nodes, err := Get[api.Nodes](t.Context(), r, api.PathNodes, map[string][]string{"domain": {"a&b=c"}})
	if err != nil || nodes.Server != "a&b=c" || len(nodes.Nodes) != 1 {
		t.Errorf("%+v, %v", nodes, err)
	}
	kicked, err := Post[api.Kicked](t.Context(), remote(t, Options{URL: url + "/prefix", Who: "root@host", Token: "t"}), api.PathKick, api.Kick{Target: "a.im.example/7"})
	if err != nil || kicked.Links != 1 {
		t.Errorf("%+v, %v", kicked, err)
	}
	var said *api.Error
	if _, err := Get[api.Status](t.Context(), r, api.PathStatus, nil); !errors.As(err, &said) || said.Code != api.CodeNotFound {
		t.Errorf("got %v", err)
	}
}

// TestNotReached is about everything that answers otherwise than a server does, or not at all.
func TestNotReached(t *testing.T) {
	stolen := serve(t, func(w http.ResponseWriter, req *http.Request) {
		t.Errorf("a redirect was followed, with %v", req.Header)
	})
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want string
	}{
		"a page":        {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hello") }, "something else answers there (HTTP 200, text/html"},
		"a page of 404": {http.NotFound, "something else answers there (HTTP 404"},
		"other JSON":    {func(w http.ResponseWriter, _ *http.Request) { answer(w, 500, map[string]int{"x": 1}) }, "something else answers there (HTTP 500"},
		"half an answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"server":"h`)
		}, "cannot be read"},
		"another type": {func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, []int{1}) }, "cannot be read"},
		"a redirect": {func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, stolen+req.URL.Path, http.StatusTemporaryRedirect)
		}, "is not followed"},
		"without an end": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"server":"`)
			for chunk := strings.Repeat("x", 1<<20); ; {
				if _, err := io.WriteString(w, chunk); err != nil {
					return
				}
			}
		}, "longer than 2 MiB"},
		"a hostile header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://a/\u202e")
			w.WriteHeader(302)
		}, `sends to http://a/\u202e`},
	} {
		t.Run(name, func(t *testing.T) {
			r := remote(t, Options{URL: serve(t, c.h), Token: "t"})
			r.most = 2 << 20
			_, err := Get[api.Status](t.Context(), r, api.PathStatus, nil)
			var none *NotReachedError
			if !errors.As(err, &none) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), r.URL()) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + ln.Addr().String()
	_ = ln.Close()
	_, err = Get[api.Status](t.Context(), remote(t, Options{URL: url}), api.PathStatus, nil)
	if err == nil || !strings.Contains(err.Error(), "at "+url+": nobody listens there (start one with patchbay serve") {
		t.Errorf("got %v", err)
	}
	over := httptest.NewServer(http.NotFoundHandler())
	defer over.Close()
	_, err = Get[api.Status](t.Context(), remote(t, Options{URL: strings.Replace(over.URL, "http", "https", 1)}), api.PathStatus, nil)
	if err == nil || !strings.Contains(err.Error(), "it speaks http, not https") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = Get[api.Status](ctx, remote(t, Options{URL: over.URL}), api.PathStatus, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("an end by the caller is %v", err)
	}
}

// withToken is a server that wants the token for a change and for /config, and says that it lies in file.
func withToken(t *testing.T, file string, got *[]string) string {
	return serve(t, func(w http.ResponseWriter, req *http.Request) {
		*got = append(*got, req.URL.Path+" "+req.Header.Get("Authorization"))
		switch {
		case req.URL.Path == api.PathStatus:
			answer(w, 200, api.Status{TokenFile: file})
		case req.Header.Get("Authorization") != "Bearer "+secretOfTests:
			answer(w, 401, api.Error{Code: api.CodeUnauthorized, Message: "this asks for the token"})
		default:
			answer(w, 200, api.Config{Server: "hub1"})
		}
	})
}

func TestTokenIsFound(t *testing.T) {
	file := filepath.Join(t.TempDir(), "admin.token")
	if err := os.WriteFile(file, []byte(secretOfTests+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	r := remote(t, Options{URL: withToken(t, file, &got)})
	for range 2 {
		if _, err := Post[api.Config](t.Context(), r, api.PathReload, nil); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{api.PathStatus + " ", api.PathReload + " Bearer " + secretOfTests, api.PathReload + " Bearer " + secretOfTests}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked %q, want %q", got, want)
	}
	got = nil
	if _, err := Get[api.Config](t.Context(), remote(t, Options{URL: withToken(t, file, &got)}), api.PathConfig, nil); err != nil || len(got) != 3 {
		t.Errorf("a read that asks for the token: %v, asked %q", err, got)
	}
}

// TestTokenStaysHere: whoever listens on the port may name any file.
func TestTokenStaysHere(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ file, want string }{
		{write("id_rsa", "PRIVATE"), "holds no token that a server made"},
		{write("long", secretOfTests+strings.Repeat("x", mostToken)), "it holds no token"},
		{write("more", secretOfTests+"\nanother line"), "it holds no token"},
		{write("empty", ""), "it holds no token"},
		{pipe, "it is no file"},
		{dir, "it is no file"},
		{filepath.Join(dir, "none"), "not on this machine"},
		{"admin.token", "does not say where it is"},
		{"", "does not say where it is"},
	} {
		var got []string
		_, err := Post[api.Config](t.Context(), remote(t, Options{URL: withToken(t, c.file, &got)}), api.PathReload, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(fmt.Sprint(got), "Bearer") {
			t.Errorf("%s: %v, asked %q; want %s", c.file, err, got, c.want)
		}
	}
	_, err := Post[api.Config](t.Context(), remote(t, Options{URL: "http://192.0.2.1:5280"}), api.PathReload, nil)
	if err == nil || !strings.Contains(err.Error(), "set PATCHBAY_TOKEN") {
		t.Errorf("a server elsewhere: %v", err)
	}
}

// TestNoToken: a server that has no token says so itself.
func TestNoToken(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == api.PathStatus {
			answer(w, 200, api.Status{})
			return
		}
		answer(w, 403, api.Error{Code: api.CodeForbidden, Message: "there is no token", Mend: "set admin.token_file"})
	})
	_, err := Post[api.Config](t.Context(), remote(t, Options{URL: url}), api.PathReload, nil)
	if err == nil || err.Error() != "there is no token (set admin.token_file)" {
		t.Errorf("got %v", err)
	}
}

func TestTokenInTheClear(t *testing.T) {
	var notes []string
	r := remote(t, Options{URL: "http://192.0.2.1:5280", Token: "t", Note: func(s string) { notes = append(notes, s) }})
	for range 2 {
		if _, err := r.request(t.Context(), question{path: api.PathStatus}, "t"); err != nil {
			t.Fatal(err)
		}
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "192.0.2.1:5280 in the clear") {
		t.Errorf("notes are %q", notes)
	}
	if remote(t, Options{URL: "https://192.0.2.1"}).http.Transport.(*http.Transport).Proxy == nil {
		t.Error("a server elsewhere cannot be asked through a proxy")
	}
	if remote(t, Options{}).http.Transport.(*http.Transport).Proxy != nil {
		t.Error("a server here is asked through a proxy")
	}
}

func TestReadToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(" abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATCHBAY_TEST_TOKEN", "def")
	for _, c := range []struct{ in, want, wrong string }{
		{"", "", ""}, {"abc", "abc", ""}, {"@" + file, "abc", ""}, {"env:PATCHBAY_TEST_TOKEN", "def", ""},
		{"@" + file + "x", "", "no such file"}, {"env:PATCHBAY_NONE", "", "no PATCHBAY_NONE"},
	} {
		got, err := ReadToken(c.in)
		if got != c.want || (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%q gives %q, %v", c.in, got, err)
		}
	}
}

func TestStream(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		fmt.Fprint(w, `{"id":"1"}`+"\n\n"+`{"id":"2"}`+"\n"+`{"id":3}`+"\n")
	})
	r := remote(t, Options{URL: url, Token: "t"})
	var ids []string
	err := Stream(t.Context(), r, api.PathTap, nil, func(s api.Tapped) error { ids = append(ids, s.ID); return nil })
	if strings.Join(ids, " ") != "1 2" || err == nil || !strings.Contains(err.Error(), "read a line") {
		t.Errorf("%q, %v", ids, err)
	}
	enough := errors.New("enough")
	if err := Stream(t.Context(), r, api.PathTap, nil, func(api.Tapped) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the reader's own end is %v", err)
	}
}
