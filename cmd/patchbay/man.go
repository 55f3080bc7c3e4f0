package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "write a manual page of each verb into a folder",
		Long: "Writes patchbay.1, patchbay-serve.1, patchbay-ctl-drain.1 and so on into DIR, which is made if it is not there. They bear the date\n" +
			"of SOURCE_DATE_EPOCH, if that is set.",
		Example: "  patchbay man /usr/local/share/man/man1",
		Args:    takes("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return &exitError{exitFailed, fmt.Errorf("make the folder: %w", err)}
			}
			root := newRoot() // of its own, for its texts are rewritten
			root.Long = "  " + strings.ReplaceAll(manual, "\n", "\n  ")
			asMarkdown(root)
			head := &doc.GenManHeader{Section: "1", Source: "patchbay " + version, Manual: "patchbay"}
			if err := doc.GenManTree(root, head, args[0]); err != nil {
				return &exitError{exitFailed, fmt.Errorf("write the pages: %w", err)}
			}
			return nil
		},
	}
}

// asMarkdown rewrites the texts of a command and those below it as the generator of pages reads them: there a line is
// kept as it is only if it begins with four spaces, behind an empty line.
func asMarkdown(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true
	cmd.Long = markdown(cmd.Long)
	for _, c := range cmd.Commands() {
		asMarkdown(c)
	}
}

func markdown(text string) string {
	var b strings.Builder
	kept := false // the line before was one
	for line := range strings.Lines(text) {
		keep := strings.HasPrefix(line, "  ")
		if keep != kept {
			b.WriteString("\n")
		}
		if kept = keep; keep {
			b.WriteString("    " + line)
			continue
		}
		b.WriteString(strings.NewReplacer("<", `\<`, "*", `\*`, "_", `\_`, "[", `\[`, "|", `\|`).Replace(line))
	}
	return b.String()
}
