package admin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/server"
	"github.com/patchbay-im/patchbay/stanza"
)

// mostBody bounds what a change may say, in bytes.
const mostBody = 64 << 10

// paramKind is how a parameter of the query is written.
type paramKind uint8

const (
	textParam     paramKind = iota
	addressParam            // a JID, full or bare
	numberParam             // from least to most
	flagParam               // true or false
	durationParam           // as in the configuration: 5m; up to most nanoseconds
	choiceParam             // one of choices
)

// param is one parameter of the query.
type param struct {
	name, doc   string
	kind        paramKind
	needed      bool
	least, most int64 // of a number, or of a duration in nanoseconds
	choices     []string
	example     string
}

// argument is the value of a parameter.
type argument struct {
	text string
	n    int64 // of a number, a duration in nanoseconds, a flag as 0 or 1
}

func badRequest(message, mend string) *api.Error {
	return &api.Error{Code: api.CodeBadRequest, Message: message, Mend: mend}
}

// read reads what an operation takes: all of it is looked at before anything is done.
func (q *query) read(o *operation, w http.ResponseWriter) error {
	_, raw, _ := strings.Cut(q.r.RequestURI, "?")
	given, err := url.ParseQuery(raw)
	if err != nil {
		return badRequest("the query cannot be read", "escape its values")
	}
	q.args = map[string]argument{}
	for name, values := range given {
		i := slices.IndexFunc(o.params, func(p param) bool { return p.name == name })
		switch {
		case i < 0:
			return badRequest("there is no parameter "+word(name), o.known())
		case len(values) > 1:
			return badRequest(name+" is given twice", "")
		case values[0] == "":
			continue // a form that left it empty
		}
		if q.args[name], err = o.params[i].read(values[0]); err != nil {
			return err
		}
	}
	for _, p := range o.params {
		if _, has := q.args[p.name]; p.needed && !has {
			return badRequest(p.name+" is missing", p.name+"="+p.example)
		}
	}
	if o.method == http.MethodPost {
		return q.readBody(o, w)
	}
	return nil
}

// known lists the parameters of an operation.
func (o *operation) known() string {
	if len(o.params) == 0 {
		return "it takes none"
	}
	var names []string
	for _, p := range o.params {
		names = append(names, p.name)
	}
	return "known here: " + strings.Join(names, ", ")
}

// readBody reads one JSON object that names nothing unknown.
func (q *query) readBody(o *operation, w http.ResponseWriter) error {
	var body any = &struct{}{}
	if o.body != nil {
		body = reflect.New(reflect.TypeOf(o.body)).Interface()
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, q.r.Body, mostBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(body)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more than one value")
		}
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return &api.Error{Code: api.CodeTooLarge, Message: "the body has more than " + strconv.Itoa(mostBody) + " bytes"}
	case errors.Is(err, io.EOF) && o.body == nil: // nothing was to be said
	case err != nil:
		return badRequest("the body is not what is asked for: "+line(err.Error()), "see "+api.PathOpenAPI)
	}
	q.body = body
	return nil
}

// read reads one value.
func (p *param) read(text string) (argument, error) {
	arg := argument{text: text}
	bad := func(mend string) (argument, error) {
		return arg, badRequest(p.name+"="+word(text)+" is not understood", mend)
	}
	switch p.kind {
	case addressParam:
		who, _, err := stanza.ParseAddress([]byte(text), false, nil)
		if err != nil {
			return bad(p.name + "=" + p.example)
		}
		arg.text = who.String()
	case numberParam:
		n, err := strconv.ParseInt(text, 10, 64)
		if arg.n = n; err != nil || n < p.least || n > p.most {
			return bad("a number from " + strconv.FormatInt(p.least, 10) + " to " + strconv.FormatInt(p.most, 10))
		}
	case flagParam:
		if text != "true" && text != "false" {
			return bad("true or false")
		}
		if text == "true" {
			arg.n = 1
		}
	case durationParam:
		d, err := time.ParseDuration(text)
		if arg.n = int64(d); err != nil || arg.n < p.least || arg.n > p.most {
			return bad("a time from " + time.Duration(p.least).String() + " to " + time.Duration(p.most).String() + ", such as " + p.example)
		}
	case choiceParam:
		if !slices.Contains(p.choices, text) {
			return bad("one of " + strings.Join(p.choices, ", "))
		}
	}
	return arg, nil
}

// text is a parameter as it was given; "" if it was not.
func (q *query) text(name string) string { return q.args[name].text }

// node is a parameter that names a node.
func (q *query) node(name string) string { return server.Canonical(q.text(name)) }

// flag is a parameter that is true or false.
func (q *query) flag(name string) bool { return q.args[name].n == 1 }

// number is a parameter that is a number, or other if it was not given.
func (q *query) number(name string, other int) int {
	if arg, ok := q.args[name]; ok {
		return int(arg.n)
	}
	return other
}

// span is a parameter that is a duration, or other if it was not given.
func (q *query) span(name string, other time.Duration) time.Duration {
	if arg, ok := q.args[name]; ok {
		return time.Duration(arg.n)
	}
	return other
}
