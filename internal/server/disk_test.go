package server

import (
	"errors"
	"io"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/storage"
)

// TestDiskLimit: limits.disk bounds what is kept from the start on, and a reload changes it.
func TestDiskLimit(t *testing.T) {
	cfg := config.Default()
	cfg.Data, cfg.Listen.Component, cfg.Listen.HTTP, cfg.Limits.Disk = t.TempDir(), "127.0.0.1:0", "", 1<<20
	next := *cfg
	log := logrus.New()
	log.SetOutput(io.Discard)
	s, err := New(cfg, Options{Log: logrus.NewEntry(log), Load: func() (*config.Config, config.Faults) { c := next; return &c, nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Stop() }()
	put := func(number uint64) error {
		return s.queues.Outbox().Put("test.example", number, make([]byte, 700<<10), func(error) {})
	}
	reload := func(disk int64) {
		t.Helper()
		next.Limits.Disk = disk
		if done, err := s.Reload(); err != nil || len(done.Changes) != 1 || !done.Changes[0].Applied {
			t.Fatal(done, err)
		}
	}
	if err := put(1); err != nil {
		t.Fatal(err)
	}
	if err := put(2); !errors.Is(err, storage.ErrDiskFull) {
		t.Errorf("1400 KiB are kept under a limit of 1 MiB: %v", err)
	}
	reload(2 << 20)
	if err := put(2); err != nil {
		t.Error(err)
	}
	reload(1 << 20)
	if err := put(3); !errors.Is(err, storage.ErrDiskFull) {
		t.Errorf("what is there beyond the limit stays, and more comes: %v", err)
	}
}
