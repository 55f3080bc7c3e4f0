package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchbay-im/patchbay/conformance"
	"github.com/patchbay-im/patchbay/conformance/report"
	"github.com/patchbay-im/patchbay/internal/say"
)

func newRecipeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "recipe prosody|ejabberd|openfire|jabberd2",
		Short: "what to paste into the configuration of a product that is judged",
		Long: "Prints what to paste into the configuration of a product, so that it knows the components of the suite, and the command that\n" +
			"judges it then.",
		Example:   "  patchbay conformance recipe prosody",
		Args:      takes("PRODUCT"),
		ValidArgs: conformance.Recipes(),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, ok := conformance.Recipe(strings.ToLower(args[0]))
			if !ok {
				return fmt.Errorf("there is no recipe for %q; there are %s", say.Clean(args[0]), strings.Join(conformance.Recipes(), ", "))
			}
			_, err := io.WriteString(cmd.OutOrStdout(), text)
			return err
		},
	}
}

func newCompareCommand() *cobra.Command {
	var matrix string
	cmd := &cobra.Command{
		Use:   "compare RUN.json RUN.json... [--report matrix.html]",
		Short: "put runs side by side",
		Long: "Prints what differs between runs that were kept with --report RUN.json, and the counts of each. --report writes all of it as a\n" +
			"page, whose words link to the cases in RUN.html, if that is beside RUN.json.",
		Example: "  patchbay conformance compare prosody.json ejabberd.json --report matrix.html",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errors.New("at least two runs can be compared: RUN.json RUN.json")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if matrix != "" && filepath.Ext(matrix) != ".html" {
				return fmt.Errorf("the matrix is a page: --report FILE.html, not %q", say.Clean(matrix))
			}
			var columns []report.Column
			for _, file := range args {
				c, err := column(file, matrix)
				if err != nil {
					return &exitError{exitFailed, err}
				}
				columns = append(columns, c)
			}
			if err := report.Compare(cmd.OutOrStdout(), columns); err != nil {
				return err
			}
			return saveMatrix(matrix, columns)
		},
	}
	cmd.Flags().StringVar(&matrix, "report", "", "write them as a page: FILE.html")
	return cmd
}

// column reads a run, and finds its page as it is seen from the matrix.
func column(file, matrix string) (report.Column, error) {
	c := report.Column{File: file}
	raw, err := os.ReadFile(file)
	if err != nil {
		return c, fmt.Errorf("read a run: %w", err)
	}
	if c.Run, err = report.Load(bytes.NewReader(raw)); err != nil {
		return c, fmt.Errorf("%s: %w; --report RUN.json keeps a run", file, err)
	}
	page := strings.TrimSuffix(file, filepath.Ext(file)) + ".html"
	if _, err := os.Stat(page); err != nil {
		return c, nil
	}
	if page, err = filepath.Rel(filepath.Dir(matrix), page); err == nil {
		c.Page = (&url.URL{Path: filepath.ToSlash(page)}).String()
	}
	return c, nil
}

func saveMatrix(file string, columns []report.Column) error {
	if file == "" {
		return nil
	}
	var b bytes.Buffer
	err := report.WriteMatrix(&b, columns)
	if err == nil {
		err = os.WriteFile(file, b.Bytes(), 0o644)
	}
	if err != nil {
		return &exitError{exitFailed, fmt.Errorf("write the matrix: %w", err)}
	}
	return nil
}
