package api

// The paths. Reads are GET, changes are POST; nothing changes by a GET.
const (
	Prefix = "/api/v1"

	PathStatus   = Prefix + "/status"
	PathNodes    = Prefix + "/nodes"    // ?domain=
	PathLinks    = Prefix + "/links"    // ?closed=true
	PathSessions = Prefix + "/sessions" // ?node= &user= &limit= &count=true
	PathWhere    = Prefix + "/where"    // ?jid=
	PathOutcomes = Prefix + "/outcomes" // ?since= &node= &reason=
	PathExplain  = Prefix + "/explain"  // ?from= &to= &kind= &type=
	PathDoctor   = Prefix + "/doctor"
	PathConfig   = Prefix + "/config"
	PathTap      = Prefix + "/tap" // ?match= &for= &count= &body=true; NDJSON of Tapped; asks for the token
	PathOpenAPI  = Prefix + "/openapi.json"

	PathDrain   = Prefix + "/drain"   // Target; gives Drained. By GET how far it is: ?node= or ?server=true
	PathUndrain = Prefix + "/undrain" // Target
	PathKick    = Prefix + "/kick"    // Kick
	PathReload  = Prefix + "/reload"  // nothing
	PathSecret  = Prefix + "/secret"  // SecretOf
)

// TokenPrefix begins each token that a server makes; the token goes as "Authorization: Bearer TOKEN". ctl sends the
// content of the file that Status.TokenFile names only if it begins so: another program on that port, perhaps of
// another user, would else be handed any file that the operator can read.
const TokenPrefix = "patchbay-admin-"

// HeaderWho names, for the log, who asks for a change, as the client says it: "root@host". It is not proved.
const HeaderWho = "X-Patchbay-Who"

// The words of Error.Code, with the status that each comes with.
const (
	CodeBadRequest   = "bad-request"  // 400: a parameter or the body
	CodeUnauthorized = "unauthorized" // 401: no token, or a wrong one
	CodeForbidden    = "forbidden"    // 403: a page of another origin; or the configuration does not allow it
	CodeNotFound     = "not-found"    // 404
	CodeMethod       = "method"       // 405: see Allow
	CodeConflict     = "conflict"     // 409: not in this state
	CodeTooLarge     = "too-large"    // 413
	CodeMediaType    = "media-type"   // 415: a change is asked for as application/json
	CodeMisdirected  = "misdirected"  // 421: the Host is none of this server's
	CodeBusy         = "busy"         // 429: see Retry-After
	CodeFailed       = "failed"       // 500
	CodeStopping     = "stopping"     // 503: the server is about to end
)

// Error is the body of each answer that is not a success.
type Error struct {
	Code    string  `json:"code"`             // for machines: one of the words below
	Message string  `json:"message"`          // what is wrong
	Mend    string  `json:"mend,omitempty"`   // what to do
	Faults  []Fault `json:"faults,omitempty"` // of a configuration that was not applied
}

// Error makes it a Go error.
func (e *Error) Error() string {
	if e.Mend == "" {
		return e.Message
	}
	return e.Message + " (" + e.Mend + ")"
}
