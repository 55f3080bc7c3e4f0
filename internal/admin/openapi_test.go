package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/patchbay-im/patchbay/docs"
	"github.com/patchbay-im/patchbay/internal/admin/api"
)

//go:generate go test -run TestOpenAPIPage -rewrite .

var rewrite = flag.Bool("rewrite", false, "write docs/openapi.json anew")

const openAPIPage = "../../docs/openapi.json"

// object is an object of JSON.
type object = map[string]any

// answered are the answers of the guard and of the reading of a request, each with what it says.
var answered = map[int]string{
	http.StatusBadRequest:            "A parameter or the body is not what is asked for.",
	http.StatusUnauthorized:          "No token was shown, or a wrong one.",
	http.StatusForbidden:             "A page of another origin asks; or the configuration does not allow it.",
	http.StatusNotFound:              "What is asked for is not there.",
	http.StatusConflict:              "Not in this state.",
	http.StatusRequestEntityTooLarge: "The body has more than 64 KiB.",
	http.StatusUnsupportedMediaType:  "The body is not said to be application/json.",
	http.StatusMisdirectedRequest:    "The Host is none of this server's: see admin.hosts.",
	http.StatusTooManyRequests:       "More is asked than is answered: see Retry-After.",
	http.StatusInternalServerError:   "It was tried and did not succeed.",
	http.StatusServiceUnavailable:    "The server is about to end.",
}

// document makes the OpenAPI document of the table.
func document(t *testing.T) []byte {
	t.Helper()
	s := newSchemas(t)
	paths := object{}
	for i := range operations {
		o := &operations[i]
		if paths[o.path] == nil {
			paths[o.path] = object{}
		}
		paths[o.path].(object)[strings.ToLower(o.method)] = s.operation(o)
	}
	failure := s.of(api.Error{})
	responses := object{}
	for status, says := range answered {
		responses[strconv.Itoa(status)] = object{"description": says, "content": object{mediaJSON: object{"schema": failure}}}
	}
	doc := object{
		"openapi": "3.0.3",
		"info": object{"title": "patchbay admin API", "version": "1",
			"description": "Operates one server. Reads are GET and open on loopback, changes are POST with the token. Units are in the names, " +
				"times are RFC 3339 in UTC. A list is never null. Health and metrics are served on listen.metrics, too, without a token."},
		"servers": []any{object{"url": "http://127.0.0.1:5280"}},
		"paths":   paths,
		"components": object{"schemas": s.named, "responses": responses,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer",
				"description": "The content of the file admin.token_file, or else of admin.token in the data directory."}}},
	}
	text, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

// operation describes one row.
func (s *schemas) operation(o *operation) object {
	good := object{"description": "Done."}
	media := cmp.Or(o.media, mediaJSON)
	if media == mediaNDJSON {
		good["description"] = "Lines, each of this schema, as they come."
	}
	switch {
	case o.answer != nil:
		good["content"] = object{media: object{"schema": s.of(o.answer)}}
	case media == mediaJSON:
		good["content"] = object{media: object{"schema": object{"type": "object"}}}
	default:
		good["content"] = object{strings.TrimSuffix(media, "; charset=utf-8"): object{"schema": object{"type": "string"}}}
	}
	responses := object{"200": good}
	for _, status := range o.refusals() {
		responses[strconv.Itoa(status)] = object{"$ref": "#/components/responses/" + strconv.Itoa(status)}
	}
	if o.path == "/readyz" {
		responses["503"] = object{"description": "Not ready.", "content": object{"text/plain": object{"schema": object{"type": "string"}}}}
	}
	d := object{"operationId": o.id, "summary": o.summary, "responses": responses}
	switch o.who {
	case holder:
		d["security"] = []any{object{"token": []any{}}}
	case local:
		d["security"] = []any{object{}, object{"token": []any{}}}
	}
	var params []any
	for _, p := range o.params {
		params = append(params, object{"name": p.name, "in": "query", "required": p.needed, "description": p.doc, "schema": p.schema()})
	}
	if o.method == http.MethodPost {
		body := any(object{"type": "object", "additionalProperties": false})
		if o.body != nil {
			body = s.of(o.body)
		}
		d["requestBody"] = object{"required": o.body != nil, "content": object{mediaJSON: object{"schema": body}}}
		params = append(params, object{"name": api.HeaderWho, "in": "header", "description": "Who asks, for the log; it is not proved.", "schema": object{"type": "string"}})
	}
	if len(params) > 0 {
		d["parameters"] = params
	}
	return d
}

// refusals are the statuses besides success that an operation may answer with.
func (o *operation) refusals() []int {
	all := []int{http.StatusMisdirectedRequest, http.StatusForbidden, http.StatusBadRequest, http.StatusInternalServerError}
	if o.who != anyone {
		all = append(all, http.StatusUnauthorized, http.StatusTooManyRequests)
	}
	if o.method == http.MethodPost {
		all = append(all, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	return append(all, o.also...)
}

// schema describes a parameter.
func (p *param) schema() object {
	d := object{"type": "string"}
	switch p.kind {
	case numberParam:
		d = object{"type": "integer", "minimum": p.least, "maximum": p.most}
	case flagParam:
		d = object{"type": "boolean"}
	case choiceParam:
		d["enum"] = p.choices
	case durationParam:
		d["description"] = fmt.Sprintf("A time from %s to %s.", time.Duration(p.least), time.Duration(p.most))
	}
	if p.example != "" {
		d["example"] = p.example
	}
	return d
}

// TestOpenAPIPage fails when docs/openapi.json is not what the table and the types say. It is written anew by
// go test ./internal/admin -run TestOpenAPIPage -rewrite.
func TestOpenAPIPage(t *testing.T) {
	page := document(t)
	if *rewrite {
		if err := os.WriteFile(openAPIPage, page, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(page, []byte(docs.OpenAPI)) {
		t.Error("docs/openapi.json is stale: go test ./internal/admin -run TestOpenAPIPage -rewrite")
	}
}

// TestOpenAPIValid lets others judge the document.
func TestOpenAPIValid(t *testing.T) {
	if err := specification(t).Validate(t.Context()); err != nil {
		t.Error(err)
	}
}

func specification(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData([]byte(docs.OpenAPI))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestOperations holds the table to its own rules.
func TestOperations(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range operations {
		at := o.method + " " + o.path
		for _, key := range []string{at, o.id} {
			if seen[key] || key == "" {
				t.Errorf("%s: %q stands twice, or is empty", at, key)
			}
			seen[key] = true
		}
		if o.method != http.MethodGet && o.method != http.MethodPost {
			t.Errorf("%s: a read is GET, a change is POST", at)
		}
		if o.method == http.MethodPost && o.who != holder {
			t.Errorf("%s: a change asks for the token", at)
		}
		if o.who == anyone && !o.health || o.health && o.method != http.MethodGet {
			t.Errorf("%s: only probes are free, and they change nothing", at)
		}
		if (o.do == nil) == (o.raw == nil) || o.do != nil && o.answer == nil || !strings.HasSuffix(o.summary, ".") {
			t.Errorf("%s: the row is not whole", at)
		}
		for _, p := range o.params {
			if p.doc == "" || p.needed && p.example == "" {
				t.Errorf("%s: %s lacks words", at, p.name)
			}
		}
	}
}
