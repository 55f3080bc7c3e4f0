package metrics

import (
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/patchbay-im/patchbay/internal/server"
	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/storage"
)

// The kinds of a row.
const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// groups are all metrics of ours, in the order of the questions that somebody asks who was woken up.
func groups() []group {
	return []group{
		{"Is it us", serverMetrics()},
		{"What became of each stanza", stanzaMetrics()},
		{"Nodes", append(nodeMetrics(), proofMetrics()...)},
		{"Users and their sessions", sessionMetrics()},
		{"Streams that begin and end", linkMetrics()},
		{"Bounded tables", tableMetrics()},
		{"Disk", diskMetrics()},
		{"The admin API", adminMetrics()},
	}
}

// yes is a truth as Prometheus has it.
func yes(b bool) float64 { return float64(count(b)) }

// seconds is a time as Prometheus has it.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// value makes the reader of a row without labels.
func value[N int | int64 | uint64 | float64](f func(*state) N) func(*state, put) {
	return func(st *state, to put) { to(float64(f(st))) }
}

// each makes the reader of a row with one label.
func each(f func(*state) map[string]uint64) func(*state, put) {
	return func(st *state, to put) {
		counts := f(st)
		for _, word := range slices.Sorted(maps.Keys(counts)) {
			to(float64(counts[word]), word)
		}
	}
}

func serverMetrics() []metric {
	return []metric{
		{name: "patchbay_build_info", kind: gauge, labels: []string{"version", "goversion"},
			help: "1; the labels are the version of patchbay and of Go.",
			read: func(st *state, to put) { to(1, st.s.Version(), runtime.Version()) }},
		{name: "patchbay_start_time_seconds", kind: gauge,
			help: "When the server started, in seconds since 1970. All counters begin here.",
			read: value(func(st *state) float64 { return seconds(st.s.Started()) })},
		{name: "patchbay_ready", kind: gauge,
			help: "1 if /readyz says yes: the view is complete, or timers.settle has passed since the start.",
			read: value(func(st *state) float64 { return yes(st.s.Ready()) })},
		{name: "patchbay_view_complete", kind: gauge,
			help: "1 if a user without a session is known to be offline; 0 while nodes of before a restart may still come back.",
			read: value(func(st *state) float64 { return yes(st.s.Router().Complete()) })},
		{name: "patchbay_sessions_loading", kind: gauge,
			help: "1 while sessions of before the start are still being read: patchbay_sessions grows.",
			read: value(func(st *state) float64 { return yes(st.s.Sessions().Loading()) })},
		{name: "patchbay_draining", kind: gauge,
			help: "1 if the server as a whole is drained: it takes no new sessions, and is not ready.",
			read: value(func(st *state) float64 { return yes(st.s.Router().Draining()) })},
		{name: "patchbay_config_last_reload_successful", kind: gauge,
			help: "0 if the last reload was refused, so that the file is not what acts; 1 if not, or there was none.",
			read: value(func(st *state) float64 { return yes(!st.reloads.Refused) })},
		{name: "patchbay_config_loaded_timestamp_seconds", kind: gauge,
			help: "When the configuration that acts was loaded: at the start, or by the last reload that was not refused.",
			read: value(func(st *state) float64 { return seconds(st.reloads.Last) })},
		{name: "patchbay_config_reloads_total", kind: counter, labels: []string{"result"}, help: "Times that the configuration was loaded again: ok, or refused.",
			read: func(st *state, to put) {
				to(float64(st.reloads.OK), "ok")
				to(float64(st.reloads.Failed), "refused")
			}},
		{name: "patchbay_certificate_not_after_timestamp_seconds", kind: gauge,
			help: "When the server's certificate expires. Absent without tls.cert.",
			read: func(st *state, to put) {
				if cert := st.s.Certificate(); cert != nil {
					to(seconds(cert.NotAfter))
				}
			}},
		{name: "patchbay_ledger_off_stanzas", kind: gauge,
			help: "By how many stanzas the account does not add up: found + accepted + made + copies - all outcomes - waiting - stored. " +
				"Under load a few may be between two counters; what stays, or grows, is a fault of patchbay.",
			read: value(func(st *state) int64 { return st.off })},
	}
}

func stanzaMetrics() []metric {
	return []metric{
		{name: "patchbay_stanzas_accepted_total", kind: counter, help: "Stanzas read from links.",
			read: value(func(st *state) uint64 { return st.ledger.Accepted })},
		{name: "patchbay_stanzas_made_total", kind: counter, help: "Stanzas that the server made: errors, replies and notices.",
			read: value(func(st *state) uint64 { return st.ledger.Made })},
		{name: "patchbay_stanzas_copies_total", kind: counter, help: "Further copies of stanzas that went to several nodes.",
			read: value(func(st *state) uint64 { return st.ledger.Copies })},
		{name: "patchbay_stanzas_found", kind: gauge, help: "Stanzas that were on disk at the start: stored messages, and what was in outboxes.",
			read: value(func(st *state) uint64 { return st.ledger.Found })},
		{name: "patchbay_outcomes_total", kind: counter, labels: []string{"outcome", "reason"},
			help: "Stanzas by where custody of them ended: delivered (read by the node's library, which proved it), written (to the connection of a link that proves no more), served (by the server itself), and with a reason " +
				"bounced (the sender was told), dropped or expired. Reasons are those of docs/errors.md, all of them; none for delivered, written and served.",
			read: outcomes},
		{name: "patchbay_stanzas_waiting", kind: gauge, help: "Stanzas in memory now: in queues of nodes, written and not proved, and on hold.",
			read: value(func(st *state) uint64 { return st.ledger.Waiting })},
		{name: "patchbay_stanzas_stored", kind: gauge, help: "Stanzas on disk now: in outboxes, and messages for users without a session that are not on their way.",
			read: value(func(st *state) uint64 { return st.ledger.Stored })},
		{name: "patchbay_stanzas_untold_total", kind: counter,
			help: "Errors and answers that the server had to make and could not queue: the node that asked was gone, or its queue full. They are in no other number.",
			read: value(func(st *state) uint64 { return st.ledger.Untold })},
	}
}

func outcomes(st *state, to put) {
	none := routing.None.String()
	to(float64(st.ledger.Delivered), routing.Delivered.String(), none)
	to(float64(st.ledger.Written), routing.Written.String(), none)
	to(float64(st.ledger.Served), routing.Served.String(), none)
	for _, why := range routing.Reasons() {
		to(float64(st.ledger.Reasons[why.Word]), why.Outcome.String(), why.Word)
	}
}

func sessionMetrics() []metric {
	return []metric{
		{name: "patchbay_sessions", kind: gauge, help: "Live sessions.",
			read: value(func(st *state) int { return st.s.Sessions().Total() })},
		{name: "patchbay_announces_total", kind: counter, labels: []string{"change"},
			help: "Announces by what they did: created, confirmed (it was known), updated (its priority), taken (from another node), held (another node keeps it).",
			read: func(st *state, to put) {
				for change, n := range st.sessions.Announces {
					to(float64(n), storage.Change(change).String())
				}
			}},
		{name: "patchbay_announces_refused_total", kind: counter, labels: []string{"condition"},
			help: "Presences and iqs that announce or withdraw sessions and were answered with a stanza error, by its condition (RFC 6120 8.3.3).",
			read: each(func(st *state) map[string]uint64 { return st.s.AnnouncesRefused() })},
		{name: "patchbay_sessions_ended_total", kind: counter, labels: []string{"why"},
			help: "Sessions that ended: withdrawn (by their node), replaced (by a log-in elsewhere), unconfirmed (their node came back and did not name them), " +
				"node-left (its grace passed; they are counted as they are swept), kicked.",
			read: func(st *state, to put) {
				for why, n := range st.sessions.Ended {
					to(float64(n), storage.Why(why).String())
				}
			}},
	}
}

func linkMetrics() []metric {
	return []metric{
		{name: "patchbay_links", kind: gauge, labels: []string{"state"},
			help: "Open links: attached, or in their handshake.",
			read: func(st *state, to put) {
				to(float64(st.links[server.LinkAttached]), server.LinkAttached)
				to(float64(st.links[server.LinkHandshake]), server.LinkHandshake)
			}},
		{name: "patchbay_handshakes_total", kind: counter, labels: []string{"result"},
			help: "Connections by how they began: ok (attached), refused (by the server, told so or not), left (the peer went first).",
			read: func(st *state, to put) {
				to(float64(st.begun.OK), "ok")
				to(float64(st.begun.Refused), "refused")
				to(float64(st.begun.Left), "left")
			}},
		{name: "patchbay_handshakes_failed_total", kind: counter,
			help: "Handshakes with a name that is not known, or a digest that is not that of the secret. They are among the refused.",
			read: value(func(st *state) uint64 { return st.gate.Failed })},
		{name: "patchbay_stream_errors_total", kind: counter, labels: []string{"condition"},
			help: "Stream errors by which the server ended links or refused them, by condition (RFC 6120 4.9.3): what the scanner finds wrong is among them, " +
				"as not-well-formed, restricted-xml, policy-violation and others.",
			read: each(func(st *state) map[string]uint64 { return st.s.StreamErrors() })},
		{name: "patchbay_gate_inside", kind: gauge, help: "Streams that are not authenticated yet.",
			read: value(func(st *state) int { return st.gate.Inside })},
		{name: "patchbay_gate_waiting", kind: gauge, help: "Connections that wait because too many streams of their address are not authenticated yet.",
			read: value(func(st *state) int { return st.gate.Waiting })},
		{name: "patchbay_gate_refused_total", kind: counter, help: "Connections that were refused because too many of their address waited, or their turn did not come in time.",
			read: value(func(st *state) uint64 { return st.gate.Refused })},
	}
}

func tableMetrics() []metric {
	return []metric{
		{name: "patchbay_queues_bytes", kind: gauge, help: "Bytes of all queues of nodes, and of what is written to them and not proved.",
			read: value(func(st *state) uint64 { return st.queues })},
		{name: "patchbay_queues_limit_bytes", kind: gauge,
			help: "Bytes that they may have together (limits.memory). Before it is reached the largest queue goes to its outbox.",
			read: value(func(st *state) int64 { return st.cfg.Limits.Memory })},
		{name: "patchbay_iqs_pending", kind: gauge, help: "Iq gets and sets that wait for their answer.",
			read: value(func(st *state) int { return st.tables.IQs })},
		{name: "patchbay_iqs_pending_limit", kind: gauge, help: "As many as may wait, an eighth of it for one node. What is beyond is bounced as iq-full.",
			read: value(func(st *state) int { return st.tables.IQsMax })},
		{name: "patchbay_iqs_pending_bytes", kind: gauge, help: "What the addresses and ids of pending iqs take.",
			read: value(func(st *state) int { return st.tables.IQBytes })},
		{name: "patchbay_iqs_pending_limit_bytes", kind: gauge, help: "As much as they may take.",
			read: value(func(st *state) int { return st.tables.IQBytesMax })},
		{name: "patchbay_held_stanzas", kind: gauge,
			help: "Stanzas on hold: for users of whom it is not yet known whether they are online, and behind stored messages that go first.",
			read: value(func(st *state) int { return st.tables.Held })},
		{name: "patchbay_held_users", kind: gauge, help: "Users for whom stanzas are on hold.",
			read: value(func(st *state) int { return st.tables.HeldFor })},
		{name: "patchbay_held_bytes", kind: gauge, help: "What holds cost.",
			read: value(func(st *state) int { return st.tables.HeldBytes })},
		{name: "patchbay_held_limit_bytes", kind: gauge, help: "As much as they may cost (limits.queue). What is beyond is bounced as hold-full.",
			read: value(func(st *state) int { return st.tables.HeldBytesMax })},
	}
}

func adminMetrics() []metric {
	return []metric{
		{name: "patchbay_admin_requests_total", kind: counter, labels: []string{"operation", "code"},
			help: "Requests to the admin API, by operation and HTTP status. A path that is no operation counts as other.",
			read: func(st *state, to put) { st.requests.read(to) }},
	}
}
