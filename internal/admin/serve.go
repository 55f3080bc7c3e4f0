package admin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/admin/api"
)

const (
	mediaJSON   = "application/json"
	mediaText   = "text/plain; charset=utf-8"
	mediaNDJSON = "application/x-ndjson"
)

// everyAnswer are the headers of each answer: it is for who asked, is what it says it is, and shows nothing in a page.
var everyAnswer = map[string]string{
	"Cache-Control":                "no-store",
	"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Referrer-Policy":              "no-referrer",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
}

// query is one request that the guard has let through.
type query struct {
	r     *http.Request
	ask   *ask
	op    string
	log   *logrus.Entry // names who asks, and from where
	shown bool          // the right token was shown
	args  map[string]argument
	body  any // a pointer to the operation's body
}

// serve takes one request of a site.
func (a *Admin) serve(at *site, w http.ResponseWriter, r *http.Request) {
	defer answering(r.Context())()
	for name, value := range everyAnswer {
		w.Header().Set(name, value)
	}
	k := newAsk(at, r)
	o, no := a.find(k, r)
	seen := &witness{ResponseWriter: w}
	if a.opt.Count != nil {
		defer func() { a.opt.Count(o.name(), cmp.Or(seen.status, http.StatusOK)) }()
	}
	defer a.recovered(seen, r)
	if no == nil {
		no = a.judge(k, o)
	}
	if no != nil {
		no.write(seen)
		return
	}
	a.perform(k, o, seen, r)
}

// witness notes the status of an answer.
type witness struct {
	http.ResponseWriter
	status int
}

// WriteHeader begins the answer.
func (w *witness) WriteHeader(status int) {
	w.status = cmp.Or(w.status, status)
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// name is the operation's, "" if there is none.
func (o *operation) name() string {
	if o == nil {
		return ""
	}
	return o.id
}

// find gives the row of a request. The target is compared as it came, byte by byte: nothing is decoded, cleaned or
// redirected, so no spelling of a path means another (CVE-2023-32315).
func (a *Admin) find(k *ask, r *http.Request) (*operation, *refusal) {
	if no := k.misdirected(a.s.Config().Admin.Hosts); no != nil {
		return nil, no
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	methods := a.table[path]
	if get := methods[http.MethodGet]; len(methods) == 0 || k.site.health && (get == nil || !get.health) {
		return nil, k.nothing()
	}
	if no := k.foreign(); no != nil {
		return nil, no
	}
	method := r.Method
	if method == http.MethodHead && methods[http.MethodGet] != nil && methods[http.MethodGet].media != mediaNDJSON {
		method = http.MethodGet // net/http leaves the body out
	}
	if o := methods[method]; o != nil {
		return o, nil
	}
	return nil, &refusal{status: http.StatusMethodNotAllowed, code: api.CodeMethod, message: "this is not asked for by " + word(r.Method),
		allow: strings.Join(slices.Sorted(maps.Keys(methods)), ", ")}
}

// nothing refuses a path that is not in the table, or not at this address.
func (k *ask) nothing() *refusal {
	no := &refusal{status: http.StatusNotFound, code: api.CodeNotFound, message: "there is nothing here", mend: "see " + api.PathOpenAPI}
	if k.site.health {
		no.message, no.mend = "here are /metrics, /healthz and /readyz only", "the admin API is at listen.http"
	}
	return no
}

// perform reads what the operation takes, does it, and answers.
func (a *Admin) perform(k *ask, o *operation, w http.ResponseWriter, r *http.Request) {
	_, shown := k.bearer()
	q := &query{r: r, ask: k, shown: shown && o.who != anyone && !k.site.health,
		op: o.id, log: a.log.WithFields(logrus.Fields{"who": word(r.Header.Get(api.HeaderWho)), "from": k.peer})}
	if err := q.read(o, w); err != nil {
		if o.method == http.MethodPost {
			q.tell(err)
		}
		writeError(w, err)
		return
	}
	if o.raw != nil {
		o.raw(a, w, q)
		return
	}
	answer, err := o.do(a, q)
	if o.method == http.MethodPost {
		q.tell(err)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// tell logs what became of a change: one line each.
func (q *query) tell(err error) {
	if err != nil {
		q.log.WithError(err).WithField("outcome", "refused").Warn("admin: " + q.op)
		return
	}
	q.log.WithField("outcome", "done").Info("admin: " + q.op)
}

// recovered answers a request whose operation has a fault, and tells it; the server goes on.
func (a *Admin) recovered(w http.ResponseWriter, r *http.Request) {
	fault := recover()
	if fault == nil {
		return
	}
	a.log.WithFields(logrus.Fields{"path": r.URL.Path, "stack": string(debug.Stack())}).Errorf("admin: %v", fault)
	writeError(w, errors.New("the operation has a fault; the server's log tells it"))
}

// The bounds of hostile text, in characters.
const (
	mostWord = 64
	mostLine = 400
)

// word is hostile text as one printable word: cut, with nothing that moves the cursor or turns the direction of writing.
func word(text string) string { return printable(text, mostWord) }

// line is the same for a sentence.
func line(text string) string { return printable(text, mostLine) }

func printable(text string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > most {
			return b.String() + "…"
		}
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// write answers with a refusal.
func (no *refusal) write(w http.ResponseWriter) {
	if no.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(no.wait)))
	}
	if no.allow != "" {
		w.Header().Set("Allow", no.allow)
	}
	if no.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="patchbay"`)
	}
	writeJSON(w, no.status, &api.Error{Code: no.code, Message: no.message, Mend: no.mend})
}

// statuses are those of the codes that operations give. What has no code is a failure of ours.
var statuses = map[string]int{
	api.CodeBadRequest: http.StatusBadRequest,
	api.CodeTooLarge:   http.StatusRequestEntityTooLarge,
	api.CodeNotFound:   http.StatusNotFound,
	api.CodeForbidden:  http.StatusForbidden,
	api.CodeConflict:   http.StatusConflict,
	api.CodeFailed:     http.StatusInternalServerError,
	api.CodeStopping:   http.StatusServiceUnavailable,
}

// writeError answers with what an operation did not do.
func writeError(w http.ResponseWriter, err error) {
	var known *api.Error
	if !errors.As(err, &known) {
		known = &api.Error{Code: api.CodeFailed, Message: err.Error()}
	}
	status := statuses[known.Code]
	if status == 0 {
		status = http.StatusInternalServerError
	}
	writeJSON(w, status, known)
}

func writeJSON(w http.ResponseWriter, status int, answer any) {
	text, err := json.Marshal(filled(answer))
	if err != nil {
		status, text = http.StatusInternalServerError, fmt.Appendf(nil, `{"code":"failed","message":%q}`, err.Error())
	}
	w.Header().Set("Content-Type", mediaJSON)
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}

// filled gives the answer with empty lists for those that nobody made: a list is never null.
func filled(answer any) any {
	v := reflect.New(reflect.TypeOf(answer)).Elem()
	v.Set(reflect.ValueOf(answer))
	fill(v)
	return v.Interface()
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fill(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				fill(f)
			}
		}
	case reflect.Slice:
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			fill(v.Index(i))
		}
	}
}
