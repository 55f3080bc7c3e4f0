package metrics

import (
	"maps"
	"slices"
)

// nodeMetrics are the rows with the label node.
func nodeMetrics() []metric {
	return []metric{
		{name: "patchbay_node_state", kind: gauge, labels: []string{"node", "state"},
			help: "1 under the state that the node is in: attached, draining (attached, and takes no new sessions), away (its link dropped; its grace runs), gone or never seen. " +
				"Under (others) their number.",
			read: words(func(n *node) map[string]int { return n.states })},
		{name: "patchbay_node_grade", kind: gauge, labels: []string{"node", "grade"},
			help: "The node's links by what is known of delivery on them: probing (not known yet), written (handed to the connection, no more is proved) or proved (kept until the node's library has read it).",
			read: words(func(n *node) map[string]int { return n.grades })},
		{name: "patchbay_node_links", kind: gauge, labels: []string{"node"}, help: "Links that the node has.",
			read: ofNodes(func(n *node) float64 { return float64(n.links) })},
		{name: "patchbay_node_links_limit", kind: gauge, labels: []string{"node"}, help: "Links that may share the node's domain (nodes[].instances).",
			read: ofNodes(func(n *node) float64 { return float64(n.linksMax) })},
		{name: "patchbay_node_sessions", kind: gauge, labels: []string{"node"}, help: "Live sessions on the node.",
			read: ofNodes(func(n *node) float64 { return float64(n.sessions) })},
		{name: "patchbay_node_in_stanzas_total", kind: counter, labels: []string{"node"}, help: "Stanzas read from the node.",
			read: ofNodes(func(n *node) float64 { return float64(n.in) })},
		{name: "patchbay_node_out_stanzas_total", kind: counter, labels: []string{"node"}, help: "Stanzas written to the node.",
			read: ofNodes(func(n *node) float64 { return float64(n.out) })},
		{name: "patchbay_node_not_delivered_total", kind: counter, labels: []string{"node"},
			help: "Stanzas that came from the node and ended bounced, dropped or expired.",
			read: ofNodes(func(n *node) float64 { return float64(n.lost) })},
		{name: "patchbay_node_queue_stanzas", kind: gauge, labels: []string{"node"}, help: "Stanzas that wait for the node in memory.",
			read: ofNodes(func(n *node) float64 { return float64(n.queue) })},
		{name: "patchbay_node_queue_bytes", kind: gauge, labels: []string{"node"}, help: "Their bytes.",
			read: ofNodes(func(n *node) float64 { return float64(n.queueBytes) })},
		{name: "patchbay_node_queue_limit_bytes", kind: gauge, labels: []string{"node"},
			help: "Bytes that may wait for the node in memory (limits.queue). What is beyond goes to its outbox; without outboxes it is bounced as queue-full.",
			read: ofNodes(func(n *node) float64 { return float64(n.queueMax) })},
		{name: "patchbay_node_oldest_stanza_age_seconds", kind: gauge, labels: []string{"node"},
			help: "How long the oldest stanza that waits for the node has waited; 0: nothing waits. Under (others) the longest.",
			read: ofNodes(func(n *node) float64 { return n.oldest.Seconds() })},
		{name: "patchbay_node_confirming", kind: gauge, labels: []string{"node"},
			help: "1 if the node is back and has not said yet which of its users are still there.",
			read: ofNodes(func(n *node) float64 { return float64(n.confirming) })},
		{name: "patchbay_node_multicast", kind: gauge, labels: []string{"node"},
			help: "1 if the node takes one stanza for several of its users (XEP-0033).",
			read: ofNodes(func(n *node) float64 { return float64(n.multicast) })},
		{name: "patchbay_node_state_changed_timestamp_seconds", kind: gauge, labels: []string{"node"},
			help: "When the node came into its state, in seconds since 1970. Not under (others).",
			read: func(st *state, to put) {
				for i := range st.nodes {
					if n := &st.nodes[i]; !n.changed.IsZero() {
						to(seconds(n.changed), n.name)
					}
				}
			}},
	}
}

// proofMetrics are the rows of what is kept for a node until it is proved that it was read, and of what waits on disk.
func proofMetrics() []metric {
	return []metric{
		{name: "patchbay_node_unproved_stanzas", kind: gauge, labels: []string{"node"}, help: "Stanzas that were written to the node and are kept until it is proved that they were read.",
			read: ofNodes(func(n *node) float64 { return float64(n.unproved) })},
		{name: "patchbay_node_unproved_bytes", kind: gauge, labels: []string{"node"}, help: "Their bytes.",
			read: ofNodes(func(n *node) float64 { return float64(n.unprovedBytes) })},
		{name: "patchbay_node_window_bytes", kind: gauge, labels: []string{"node"},
			help: "Bytes that may be unproved: it grows while the node is quick to answer pings, and shrinks while it is slow.",
			read: ofNodes(func(n *node) float64 { return float64(n.window) })},
		{name: "patchbay_node_outbox_stanzas", kind: gauge, labels: []string{"node"}, help: "Stanzas that wait for the node on disk. Absent without outboxes (data \":memory:\").",
			read: ofOutboxes(func(n *node) uint64 { return n.outbox })},
		{name: "patchbay_node_outbox_bytes", kind: gauge, labels: []string{"node"}, help: "Their bytes. Absent without outboxes.",
			read: ofOutboxes(func(n *node) uint64 { return n.outboxBytes })},
		{name: "patchbay_node_outbox_limit_bytes", kind: gauge, labels: []string{"node"},
			help: "Bytes that may wait for the node on disk (limits.outbox). What is beyond is bounced. Absent without outboxes.",
			read: ofOutboxes(func(n *node) uint64 { return n.outboxMax })},
		{name: "patchbay_node_spilling", kind: gauge, labels: []string{"node"},
			help: "1 if the node is attached, and reads so slowly that what comes for it goes to its outbox.",
			read: ofNodes(func(n *node) float64 { return float64(n.spilling) })},
	}
}

// ofNodes makes the reader of a row with a value for each node.
func ofNodes(f func(*node) float64) func(*state, put) {
	return func(st *state, to put) {
		for i := range st.nodes {
			to(f(&st.nodes[i]), st.nodes[i].name)
		}
	}
}

// ofOutboxes is ofNodes for what is there only with outboxes.
func ofOutboxes(f func(*node) uint64) func(*state, put) {
	return func(st *state, to put) {
		if st.kept != nil {
			ofNodes(func(n *node) float64 { return float64(f(n)) })(st, to)
		}
	}
}

// words makes the reader of a row with a value for each word of each node.
func words(f func(*node) map[string]int) func(*state, put) {
	return func(st *state, to put) {
		for i := range st.nodes {
			counts := f(&st.nodes[i])
			for _, word := range slices.Sorted(maps.Keys(counts)) {
				to(float64(counts[word]), st.nodes[i].name, word)
			}
		}
	}
}
