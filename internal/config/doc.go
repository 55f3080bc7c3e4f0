// Package config reads patchbay.yaml and says every fault of it at once, with line and mend.
//
//	bytes --yaml.v3--> nodes --walk along the table of keys--> Config --Validate--> Faults
//	                            |         |                       ^
//	                         env ${X}   page: the text, with      | Set (--set KEY=VALUE)
//	                                    secrets veiled            | Development (no file)
//
//	Config --Values--> each key and its text --Diff--> what a reload would change
//
//	table of keys --Annotated--> what patchbay init writes;  --Schema--> docs/patchbay.schema.json
//
// The table of keys (keys.go) is the only place that knows a key: its path, kind of value, range, default, whether a
// reload applies it, and the field it fills and is written from. What concerns several keys stands in the table of rules (rules.go).
//
// Config is plain data and has no owner: it is made once, then only read. Secrets print as bullets, and a fault never
// shows one, not even in the source line.
package config
