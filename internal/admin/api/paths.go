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

// The words of Error.Code.
const (
	CodeBadRequest   = "bad-request"
	CodeUnauthorized = "unauthorized" // it asks for the token, or the token is another
	CodeForbidden    = "forbidden"
	CodeNotFound     = "not-found"
	CodeConflict     = "conflict"
	CodeBusy         = "busy"
	CodeFailed       = "failed"
)

// Error is the body of each answer that is not a success.
type Error struct {
	Code    string  `json:"code"`             // for machines
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
