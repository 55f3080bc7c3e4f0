package metrics

import "github.com/patchbay-im/patchbay/storage"

// The values of the label database, which are the folders under data.
const (
	sessionsDatabase = "sessions"
	offlineDatabase  = "queues"
)

// diskMetrics are the rows of what is kept. Those of the offline store are there if something is stored, or was, and
// those of outboxes and of the file system if data is a folder.
func diskMetrics() []metric {
	return []metric{
		{name: "patchbay_commit_duration_seconds", labels: []string{"database"},
			help: "How long it took to bring a group of changes to the disk: of sessions, or of stored messages (queues).",
			hist: func(st *state, to putCommits) {
				databases(st, func(d storage.DatabaseStats, name string) { to(d.Commits, name) })
			}},
		{name: "patchbay_commit_writes_total", kind: counter, labels: []string{"database"}, help: "Keys written or deleted by commits.",
			read: func(st *state, to put) {
				databases(st, func(d storage.DatabaseStats, name string) { to(float64(d.Commits.Writes), name) })
			}},
		{name: "patchbay_database_table_bytes", kind: gauge, labels: []string{"database"},
			help: "Size of the database's tables; what is only in its logs is not in it.",
			read: func(st *state, to put) {
				databases(st, func(d storage.DatabaseStats, name string) { to(float64(d.Tables), name) })
			}},
		{name: "patchbay_outbox_stanzas", kind: gauge, help: "Stanzas that wait on disk for nodes, in all outboxes. Absent without outboxes (data \":memory:\").",
			read: kept(func(k *keptState) uint64 { return k.outboxes })},
		{name: "patchbay_outbox_bytes", kind: gauge, help: "Their bytes. Absent without outboxes.",
			read: kept(func(k *keptState) uint64 { return k.outboxBytes })},
		{name: "patchbay_kept_bytes", kind: gauge, help: "Bytes of all outboxes and of the offline store together. Absent without outboxes.",
			read: kept(func(k *keptState) uint64 { return k.bytes })},
		{name: "patchbay_kept_limit_bytes", kind: gauge, help: "Bytes that they may have together (limits.disk). What is beyond is bounced. Absent without outboxes.",
			read: func(st *state, to put) {
				if st.kept != nil {
					to(float64(st.cfg.Limits.Disk))
				}
			}},
		{name: "patchbay_offline_messages", kind: gauge, help: "Messages in the offline store, also those that are on their way. Absent without an offline store.",
			read: stored(func(f *offlineState) float64 { return float64(f.Messages) })},
		{name: "patchbay_offline_users", kind: gauge, help: "Users for whom there are any. Absent without an offline store.",
			read: stored(func(f *offlineState) float64 { return float64(f.Users) })},
		{name: "patchbay_offline_bytes", kind: gauge, help: "Their bytes. Absent without an offline store.",
			read: stored(func(f *offlineState) float64 { return float64(f.Bytes) })},
		{name: "patchbay_offline_limit_bytes", kind: gauge,
			help: "Bytes that may be stored for all users (offline.total). What is beyond is bounced as offline-total. Absent without a limit, and without an offline store.",
			read: func(st *state, to put) {
				if total := st.cfg.Offline.Total; st.offline != nil && total > 0 {
					to(float64(total))
				}
			}},
		{name: "patchbay_disk_free_bytes", kind: gauge, help: "Free bytes of the file system under data, for this user.",
			read: disk(func(d storage.Disk) uint64 { return d.Free })},
		{name: "patchbay_disk_size_bytes", kind: gauge, help: "Its size.",
			read: disk(func(d storage.Disk) uint64 { return d.Size })},
		{name: "patchbay_disk_reserve_bytes", kind: gauge,
			help: "With less free than this the server ends rather than lose what it has promised to keep. Messages are not stored long before.",
			read: disk(func(d storage.Disk) uint64 { return d.Reserve })},
	}
}

func databases(st *state, f func(d storage.DatabaseStats, name string)) {
	f(st.sessions.Database, sessionsDatabase)
	if st.offline != nil {
		f(st.offline.database, offlineDatabase)
	}
}

// kept makes the reader of a row of outboxes.
func kept(f func(*keptState) uint64) func(*state, put) {
	return func(st *state, to put) {
		if st.kept != nil {
			to(float64(f(st.kept)))
		}
	}
}

// stored makes the reader of a row of the offline store.
func stored(f func(*offlineState) float64) func(*state, put) {
	return func(st *state, to put) {
		if st.offline != nil {
			to(f(st.offline))
		}
	}
}

// disk makes the reader of a row of the file system.
func disk(f func(storage.Disk) uint64) func(*state, put) {
	return func(st *state, to put) {
		if st.onDisk {
			to(float64(f(st.disk)))
		}
	}
}
