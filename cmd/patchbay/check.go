package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/config"
)

// defaultFile is the configuration that check and init mean where none is named.
const defaultFile = "patchbay.yaml"

func newCheckCommand() *cobra.Command {
	var file, output string
	cmd := &cobra.Command{
		Use:   "check [--config FILE] [-o text|json]",
		Short: "every fault of a file, with line and mend",
		Long: "check reads a configuration as serve would, with all files that it names and the environment, and prints every fault at once.\n" +
			"It ends with 1 if there is one; warnings alone are no fault. The answer in JSON is a list of faults, empty for a good file.",
		Example: "  patchbay check\n" +
			"  patchbay check --config /etc/patchbay/patchbay.yaml -o json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("-o is text or json, not %q", output)
			}
			return check(cmd.OutOrStdout(), cmp.Or(file, os.Getenv("PATCHBAY_CONFIG"), defaultFile), output == "json")
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (PATCHBAY_CONFIG, then patchbay.yaml)")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

// check says what is wrong with a file.
func check(w io.Writer, file string, asJSON bool) error {
	cfg, faults := config.Load(file)
	var err error
	switch {
	case asJSON:
		err = writeJSON(w, apiFaults(faults))
	default:
		err = faults.Write(w, colour(w))
		if err == nil && cfg != nil {
			_, err = fmt.Fprintf(w, "%s: good. %s, %s.\n", file, plural(len(cfg.Nodes), "node"), plural(len(cfg.Users), "user domain"))
		}
	}
	if err != nil || cfg == nil {
		return &exitError{exitFailed, err}
	}
	return nil
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

// plural is "1 node" or "2 nodes".
func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}
