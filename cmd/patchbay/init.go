package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchbay-im/patchbay/internal/config"
)

func newInitCommand() *cobra.Command {
	var domain string
	cmd := &cobra.Command{
		Use:   "init [--domain im.example] [FILE]",
		Short: "write an annotated configuration with a fresh secret",
		Long: "init writes a configuration with every key, its default and what it means, for one server, one user domain and one node with a\n" +
			"fresh secret. It never overwrites a file, and what it writes only its owner can read. FILE is patchbay.yaml if none is named.",
		Example: "  patchbay init\n" +
			"  patchbay init --domain chat.example /etc/patchbay/patchbay.yaml",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return initFile(cmd.OutOrStdout(), cmp.Or(strings.Join(args, ""), defaultFile), domain)
		},
	}
	cmd.Flags().StringVar(&domain, "domain", "im.example", "the user domain; the server is hub1 below it, the node node1")
	return cmd
}

// initFile makes a configuration and says what to do next.
func initFile(w io.Writer, file, domain string) error {
	text, err := config.Annotated(filepath.Base(file), domain)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("--domain: %w", err)}
	}
	switch err := writeNew(file, text); {
	case errors.Is(err, fs.ErrExist):
		return &exitError{exitFailed, fmt.Errorf("%s is there already, and init never overwrites: name another file, or move that one away", file)}
	case err != nil:
		return &exitError{exitFailed, err}
	}
	_, err = fmt.Fprintf(w, "%s: server hub1.%s, one node node1.%[2]s with a fresh secret; only you can read it. Next:\n"+
		"  patchbay check --config %[3]s\n"+
		"  patchbay serve --config %[3]s\n", file, domain, quoteShell(file))
	if err != nil {
		return &exitError{exitFailed, err}
	}
	return nil
}

// writeNew makes a file of mode 0600 that was not there. It is whole and on disk, or it is not there.
func writeNew(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make the file: %w", err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(file) // it is ours, and half
		return fmt.Errorf("write the file: %w", err)
	}
	return nil
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// quoteShell is a word as a shell takes it.
func quoteShell(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
