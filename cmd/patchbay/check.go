package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/ctl"
	"github.com/patchbay-im/patchbay/internal/say"
)

// defaultFile is the configuration that check and init mean where none is named.
const defaultFile = "patchbay.yaml"

// checking is one run of check.
type checking struct {
	asking
	file    string
	against bool   // the running server
	usual   string // where a server is whose file does not say it
}

func newCheckCommand() *cobra.Command { return (&checking{usual: ctl.DefaultURL}).command() }

func (c *checking) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [--config FILE] [--against-running]",
		Short: "every fault of a file, with line and mend",
		Long: "check reads a configuration as serve would, with all files that it names and the environment, and prints every fault at once.\n" +
			"It ends with 1 if there is one; warnings alone are no fault. With --against-running it then asks the server and tells what differs:\n" +
			"what a reload would apply, and what needs a restart. The server is that of --url, then of PATCHBAY_URL, then the one at listen.http of\n" +
			"the file, then the one at " + ctl.DefaultURL + ". Secrets are compared where the token is at hand (patchbay help ctl).\n" +
			"The answer in JSON is a list of faults, empty for a good file; with --against-running an object with faults and changes.",
		Example: "  patchbay check\n" +
			"  patchbay check --config /etc/patchbay/patchbay.yaml --against-running",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.output != "text" && c.output != asJSON {
				return fmt.Errorf("-o is text or json, not %q", say.Clean(c.output))
			}
			c.file = cmp.Or(c.file, os.Getenv("PATCHBAY_CONFIG"), defaultFile)
			return c.run(cmd)
		},
	}
	cmd.Flags().StringVar(&c.file, "config", "", "configuration file (PATCHBAY_CONFIG, then patchbay.yaml)")
	cmd.Flags().BoolVar(&c.against, "against-running", false, "tell what differs from the running server")
	cmd.Flags().StringVar(&c.url, "url", "", "the server's admin API (PATCHBAY_URL, then listen.http of the file)")
	cmd.Flags().StringVarP(&c.output, "output", "o", "text", "text or json")
	must(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", asJSON}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// run says what is wrong with the file, and what differs from the server if nothing is.
func (c *checking) run(cmd *cobra.Command) error {
	w := cmd.OutOrStdout()
	cfg, faults := config.Load(c.file)
	var d *difference
	var unasked, err error
	if c.against && cfg != nil {
		d, unasked = c.compare(cmd, cfg)
	}
	switch {
	case c.output != asJSON:
		err = c.text(w, cfg, faults, d)
	case d != nil:
		err = writeJSON(w, d.answer(faults))
	case unasked == nil:
		err = writeJSON(w, apiFaults(faults))
	}
	if err != nil || cfg == nil {
		return &exitError{exitFailed, err}
	}
	return failure(unasked)
}

// text is the answer for people.
func (c *checking) text(w io.Writer, cfg *config.Config, faults config.Faults, d *difference) error {
	if err := faults.Write(w, colour(w)); err != nil || cfg == nil {
		return err
	}
	differs := ""
	if d != nil {
		differs = d.text()
	}
	_, err := fmt.Fprintf(w, "%s: good. %s, %s.%s\n", c.file, say.Count(len(cfg.Nodes), "node"), say.Count(len(cfg.Users), "user domain"), differs)
	return err
}

// apiFaults gives faults in the words of the admin API, so that a script reads both alike.
func apiFaults(faults config.Faults) []api.Fault {
	all := make([]api.Fault, 0, len(faults)) // [] in JSON, not null
	for i := range faults {
		f := &faults[i]
		all = append(all, api.Fault{File: f.File, Line: f.Line, Column: f.Column, Path: f.Path, Code: f.Code, Message: f.Message, Mend: f.Mend,
			Source: f.Source, Warning: f.Warning, Text: f.Error()})
	}
	return all
}

func writeJSON(w io.Writer, v any) error {
	to := json.NewEncoder(w)
	to.SetEscapeHTML(false)
	to.SetIndent("", "  ")
	return to.Encode(v)
}
