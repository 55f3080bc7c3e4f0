package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/patchbay-im/patchbay/component"
)

// store is a file of messages, each a line of JSON: sender, id, recipient, body. It is where your database goes.
type store struct {
	file  *os.File
	known map[[2]string]bool // messages in file, by sender and id
}

func openStore(name string) *store {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	check(err)
	text, err := io.ReadAll(file)
	check(err)
	text = text[:bytes.LastIndexByte(text, '\n')+1] // a row that a full disk has cut was never answered
	check(file.Truncate(int64(len(text))))
	s := &store{file, map[[2]string]bool{}}
	for line := range bytes.Lines(text) {
		var row [4]string
		check(json.Unmarshal(line, &row))
		s.known[[2]string(row[:2])] = true
	}
	return s
}

// save reports whether a message is new: a router may deliver one again. A node that cannot save ends.
func (s *store) save(m component.Message) bool {
	row := [4]string{m.From.String(), m.ID, m.To.String(), m.Body}
	if m.ID != "" && s.known[[2]string(row[:2])] {
		return false
	}
	check(json.NewEncoder(s.file).Encode(row))
	check(s.file.Sync())
	s.known[[2]string(row[:2])] = true
	fmt.Printf("%s -> %s: %q\n", row[0], row[2], row[3])
	return true
}
