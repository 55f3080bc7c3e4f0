package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchbay-im/patchbay/conformance"
	"github.com/patchbay-im/patchbay/conformance/report"
	"github.com/patchbay-im/patchbay/internal/say"
)

// contradicted refuses flags that together, or empty, would run something else than what was meant.
func contradicted(cmd *cobra.Command) error {
	f := cmd.Flags()
	if f.Changed("safe") && f.Changed("stress") {
		return errors.New("--safe leaves out what --stress runs: give one of them")
	}
	for _, name := range []string{"only", "skip"} {
		if words, err := f.GetStringSlice(name); err == nil && f.Changed(name) && len(words) == 0 {
			return fmt.Errorf("--%s names nothing: give it a case, a rule or a section; --list shows them", name)
		}
	}
	return nil
}

// checkAddr refuses an address that nobody can be reached at, before anybody is asked.
func (j *judging) checkAddr() error {
	flag, addr := "--addr", j.addr
	if j.listen != "" {
		flag, addr = "--listen", j.listen
	}
	host, port, err := net.SplitHostPort(addr)
	n, wrong := strconv.ParseUint(port, 10, 16)
	if err != nil || wrong != nil || n == 0 || host == "" && j.listen == "" {
		return fmt.Errorf("%s takes HOST:PORT, 127.0.0.1:5347 for example, not %q", flag, say.Clean(addr))
	}
	return nil
}

// writable refuses files that could not be written when all cases have run, which may be minutes later.
func (j *judging) writable() error {
	files := j.reports
	if j.update && j.expected != "" {
		files = append(files[:len(files):len(files)], j.expected)
	}
	for i, file := range files {
		if i < len(j.reports) {
			if err := report.CheckName(file); err != nil {
				return err
			}
		}
		if dir := filepath.Dir(file); !isDir(dir) {
			return fmt.Errorf("%s cannot be written: there is no directory %s", say.Clean(file), say.Clean(dir))
		}
		if isDir(file) {
			return fmt.Errorf("%s cannot be written: it is a directory", say.Clean(file))
		}
	}
	return nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// save writes the reports. One that cannot be written keeps none of the others back.
func (t *trial) save(run *conformance.Run) (saved []string, err error) {
	for _, file := range t.reports {
		if failed := report.Save(file, run); failed != nil {
			err = errors.Join(err, fmt.Errorf("write the report: %w", failed))
			continue
		}
		saved = append(saved, file)
	}
	if err != nil {
		return saved, &exitError{exitFailed, err}
	}
	return saved, nil
}

// mendOf says what to look at when the target was not reached.
func mendOf(u *conformance.Unreachable) string {
	why := u.Err.Error()
	for _, m := range []struct{ seen, mend string }{
		{"not-authorized", "the secret of --node must be the one in the server's configuration"},
		{"host-unknown", "the server must know this component: patchbay conformance recipe has what to configure"},
		{"no connection: ", "does the server run, and is this its port for components?"},
		{"address already in use", "another program listens there: choose another port"},
	} {
		if strings.Contains(why, m.seen) {
			return "; " + m.mend
		}
	}
	return ""
}
