package main

import (
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchbay-im/patchbay/internal/say"
)

//go:embed topics/*.txt
var topicFiles embed.FS

// topic is a page of the manual that is no verb.
type topic struct {
	name  string
	short string
	parts func() []part // beyond those of its file
}

// part is what NAME#WORD shows alone.
type part struct {
	word string
	line string // in the whole page; "" if it has no line of its own there
	text string // all of it
}

func topics() []topic {
	return []topic{
		{"node", "a node in your language, and the rules it keeps", nodeParts},
		{"config", "the file, and every key", configParts},
		{"wire", "what is on the connection", nil},
		{"errors", "every reason, and what to do", errorParts},
		{"ops", "grades, states, drain, reload, token, metrics", nil},
	}
}

func newHelpCommand() *cobra.Command {
	var names []string
	for _, t := range topics() {
		names = append(names, t.name)
	}
	return &cobra.Command{
		Use:   "help [VERB|TOPIC[#WORD]]",
		Short: "the manual, in the binary; examples first",
		Long: "The manual of a verb (patchbay help ctl drain), or of a topic: " + strings.Join(names, ", ") + ".\n" +
			"TOPIC#WORD is one part of it.",
		Example:           "  patchbay help ctl explain\n  patchbay help errors#no-session\n  patchbay help node#nodejs > node.js",
		ValidArgsFunction: completeTopic,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				name, word, _ := strings.Cut(args[0], "#")
				i := slices.IndexFunc(topics(), func(t topic) bool { return t.name == name })
				if i >= 0 {
					return topics()[i].write(cmd.OutOrStdout(), word)
				}
			}
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				if below := underCtl(cmd.Root(), args[0]); below != "" {
					return fmt.Errorf("there is no verb or topic %q; did you mean %s?", say.Clean(strings.Join(args, " ")), below)
				}
				return fmt.Errorf("there is no verb or topic %q; topics are %s", say.Clean(strings.Join(args, " ")), strings.Join(names, ", "))
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

func completeTopic(cmd *cobra.Command, args []string, _ string) (words []string, _ cobra.ShellCompDirective) {
	about, _, err := cmd.Root().Find(args)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, c := range about.Commands() {
		if c.IsAvailableCommand() {
			words = append(words, c.Name()+"\t"+c.Short)
		}
	}
	if len(args) == 0 {
		for _, t := range topics() {
			words = append(words, t.name+"\t"+t.short)
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// write prints a topic, or one part of it.
func (t topic) write(w io.Writer, word string) error {
	text := topicText(t.name)
	var more []part
	if t.parts != nil {
		more = t.parts()
	}
	if word == "" {
		var b strings.Builder
		b.WriteString(text)
		for _, p := range more {
			b.WriteString(p.line)
		}
		_, err := io.WriteString(w, b.String())
		return err
	}
	found := ""
	for _, p := range append(sections(text), more...) {
		if strings.EqualFold(p.word, word) {
			found += p.text
		}
	}
	if found == "" {
		return fmt.Errorf("%s has no %q; patchbay help %s shows what it has", t.name, say.Clean(word), t.name)
	}
	_, err := io.WriteString(w, found)
	return err
}

// topicText is the file of a topic.
func topicText(name string) string {
	text, err := topicFiles.ReadFile("topics/" + name + ".txt")
	must(err)
	return string(text)
}

// sections divides a text at the lines that begin with a word and two spaces: the word names the section.
func sections(text string) (all []part) {
	for line := range strings.Lines(text) {
		if word, _, ok := strings.Cut(line, "  "); ok && word != "" && !strings.Contains(word, " ") {
			all = append(all, part{word: word})
		}
		if len(all) > 0 {
			all[len(all)-1].text += line
		}
	}
	for i := range all {
		all[i].text = strings.TrimRight(all[i].text, "\n") + "\n"
	}
	return all
}
