package interop

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"testing"
	"time"
)

// nodeLook is what the admin API says of a node (docs/openapi.json).
type nodeLook struct {
	Domain      string `json:"domain"`
	State       string `json:"state"`
	Grade       string `json:"grade"`
	Queue       int    `json:"queue_stanzas"`
	QueueBytes  int    `json:"queue_bytes"`
	Unproved    int    `json:"unproved_stanzas"`
	Outbox      int    `json:"outbox_stanzas"`
	OutboxBytes int64  `json:"outbox_bytes"`
	Spilling    bool   `json:"spilling"`
}

// memory is how many stanzas for the node are not proved, and may not be on disk.
func (n nodeLook) memory() int { return n.Queue + n.Unproved }

// statusLook is what it says of the server.
type statusLook struct {
	Ledger struct {
		Found   int `json:"found"`
		Bounced int `json:"bounced"`
		Waiting int `json:"waiting"`
		Stored  int `json:"stored"`
		Off     int `json:"off"`
	} `json:"ledger"`
}

var httpListens = regexp.MustCompile(` http=(\S+)`)

// look asks the admin API, again while it is asked too often. It gives an error when the server is not there.
func (s *server) look(t *testing.T, path string, into any) error {
	t.Helper()
	for {
		answer, err := http.Get("http://" + s.find(t, httpListens) + "/api/v1/" + path)
		if err != nil {
			return err
		}
		if answer.StatusCode == http.StatusOK {
			err = json.NewDecoder(answer.Body).Decode(into)
		} else {
			err = errors.New(answer.Status)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusTooManyRequests {
			return err
		}
		<-time.After(50 * time.Millisecond)
	}
}

// nodes gives all nodes by the first label of their domains, nil when the server is not there.
func (s *server) nodes(t *testing.T) map[string]nodeLook {
	t.Helper()
	var answer struct {
		Nodes []nodeLook `json:"nodes"`
	}
	if s.look(t, "nodes", &answer) != nil {
		return nil
	}
	all := map[string]nodeLook{}
	for _, n := range answer.Nodes {
		all[label(n.Domain)] = n
	}
	return all
}

// node gives one node of a server that is there.
func (s *server) node(t *testing.T, name string) nodeLook {
	t.Helper()
	all := s.nodes(t)
	if all == nil {
		t.Fatal("the admin API does not answer")
	}
	return all[name]
}

// status gives the state of a server that is there.
func (s *server) status(t *testing.T) (answer statusLook) {
	t.Helper()
	if err := s.look(t, "status", &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}
