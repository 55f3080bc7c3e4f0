package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/patchbay-im/patchbay/internal/say"
)

func newCompletionCommand() *cobra.Command {
	shells := map[string]func(*cobra.Command, io.Writer) error{
		"bash":       func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh":        func(root *cobra.Command, w io.Writer) error { return root.GenZshCompletion(w) },
		"fish":       func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
		"powershell": func(root *cobra.Command, w io.Writer) error { return root.GenPowerShellCompletionWithDesc(w) },
	}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "words that the shell completes: verbs, flags, domains of nodes",
		Long: "Prints a script for the shell. Domains of nodes are asked for at the server that ctl would ask; when it is not reached there are\n" +
			"none.",
		Example: "  source <(patchbay completion bash)                             # this shell\n" +
			"  patchbay completion bash > /etc/bash_completion.d/patchbay     # all to come\n" +
			"  patchbay completion zsh > \"${fpath[1]}/_patchbay\"\n" +
			"  patchbay completion fish > ~/.config/fish/completions/patchbay.fish\n" +
			"  patchbay completion powershell | Out-String | Invoke-Expression",
		Args:      takes("bash|zsh|fish|powershell"),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			write := shells[args[0]]
			if write == nil {
				return fmt.Errorf("there is no completion for %q; it is for bash, zsh, fish and powershell", say.Clean(args[0]))
			}
			return write(cmd.Root(), cmd.OutOrStdout())
		},
	}
}
