package storage

import (
	"errors"
	"time"

	"github.com/sirupsen/logrus"
)

// Errors of the offline store. Each is a reason to answer the sender of the message (XEP-0160 section 3).
var (
	ErrMailboxFull = errors.New("store message: the user has as many messages, or bytes of them, as are kept")
	ErrStoreFull   = errors.New("store message: the store has as many bytes as it may")
	ErrNoSpace     = errors.New("store message: the rest of the disk is kept in reserve")
	ErrBadUser     = errors.New("store message: not a bare JID")
)

// Keep bounds what is stored for one user; 0 is no bound.
type Keep struct {
	Messages int
	Bytes    int64
	Age      time.Duration // for the caller of Aged: the store deletes nothing by itself
}

// Stored is a message for a user without a session.
type Stored struct {
	Number uint64 // rises for each user: microseconds since 1970 at the acceptance, or one more than the last
	Origin NodeID // the node that sent it
	Raw    []byte // the stanza
}

// Accepted is when the message was accepted, for its delay stamp (XEP-0203 section 2).
func (s Stored) Accepted() time.Time { return time.UnixMicro(int64(s.Number)) }

// OfflineOptions are what OpenOffline needs.
type OfflineOptions struct {
	Dir    string           // of the database, made if missing; Memory for none
	Total  int64            // bytes of all stored stanzas; 0: no bound
	Log    *logrus.Entry    // nil: silent
	Now    func() time.Time // nil: time.Now
	OnFail func(error)      // called once when a commit has failed; must not block nor call Close. May be nil
}

// OfflineStats is what the store holds.
type OfflineStats struct {
	Users    int
	Messages int
	Bytes    int64         // of stanzas
	Loaded   int           // messages found at the open
	Took     time.Duration // of the open
}

// Offline is the offline store.
type Offline struct{}

// OpenOffline opens the store.
func OpenOffline(OfflineOptions) (*Offline, error) { return nil, ErrClosed }

// Close writes what is queued and closes the database.
func (f *Offline) Close() error { return ErrClosed }

// Has tells whether something is stored for a bare JID.
func (f *Offline) Has([]byte) bool { return false }

// Put stores a copy of raw.
func (f *Offline) Put(bare []byte, origin NodeID, raw []byte, k Keep) (number uint64, err error) {
	return 0, ErrClosed
}

// Read gives the messages after a number, in order.
func (f *Offline) Read(bare []byte, after uint64, most int) ([]Stored, error) { return nil, ErrClosed }

// Delete takes messages out.
func (f *Offline) Delete(bare []byte, numbers []uint64) {}

// Aged gives users whose oldest message is too old.
func (f *Offline) Aged(before func(domain []byte) time.Time, most int) []string { return nil }

// Stats says what the store holds.
func (f *Offline) Stats() OfflineStats { return OfflineStats{} }

// ConsistencyCheck compares memory and disk.
func (f *Offline) ConsistencyCheck() error { return ErrClosed }
