package admin

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/internal/admin/api"
)

// TestTokenIsMade: the first start makes the file, and no start changes it.
func TestTokenIsMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "admin.token")
	first := &token{file: file}
	if err := first.make(); err != nil {
		t.Fatal(err)
	}
	text, err := first.read()
	if err != nil || !strings.HasPrefix(text, api.TokenPrefix) || len(text) != len(api.TokenPrefix)+64 {
		t.Errorf("%q, %v", text, err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := (&token{file: file}).make(); err != nil {
		t.Fatal(err)
	}
	if again, _ := first.read(); again != text {
		t.Error("the second start made another token")
	}
	if left, _ := filepath.Glob(file + "-*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestTokenFile: what is in the file decides at each request, and a file that cannot be used lets nobody in.
func TestTokenFile(t *testing.T) {
	st, _, changes := guarded(t)
	long := strings.Repeat("x", mostToken+1)
	for _, c := range []struct {
		name, file, shown string
		status            int
	}{
		{"as it was made", "", st.token, http.StatusOK},
		{"another", "another-token-of-30-characters\n", "another-token-of-30-characters", http.StatusOK},
		{"the one before", "another-token-of-30-characters\n", st.token, http.StatusUnauthorized},
		{"a part of it", "another-token-of-30-characters\n", "another-token-of-30-character", http.StatusUnauthorized},
		{"with more", "another-token-of-30-characters\n", "another-token-of-30-characters-", http.StatusUnauthorized},
		{"lines of Windows", "another-token-of-30-characters\r\n", "another-token-of-30-characters", http.StatusOK},
		{"too short", "0123456789abcde\n", "0123456789abcde", http.StatusForbidden},
		{"empty", "\n", "", http.StatusForbidden},
		{"two lines", "0123456789abcdef\n0123456789abcdef\n", "0123456789abcdef", http.StatusForbidden},
		{"too long", long, long[:1000], http.StatusForbidden},
		{"gone", "-", st.token, http.StatusForbidden},
	} {
		st.forgive()
		switch c.file {
		case "":
		case "-":
			_ = os.Remove(st.a.token.file)
		default:
			if err := os.WriteFile(st.a.token.file, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		before := changes.Load()
		got := st.ask("POST", api.Prefix+"/planted", `{"node":"x"}`, withHeader("Authorization", "Bearer "+c.shown))
		if got.StatusCode != c.status || (changes.Load() > before) != (c.status == http.StatusOK) {
			t.Errorf("%s: %s %s", c.name, got.Status, got.text)
		}
		if strings.Contains(got.text, st.a.token.file) {
			t.Errorf("%s: a stranger learns where the file lies: %s", c.name, got.text)
		}
	}
	if text := st.log.String(); strings.Contains(text, st.token) || strings.Contains(text, "another-token-of-30") {
		t.Error("the log has a token")
	}
}

// TestNoToken: a server that keeps nothing makes no token, and says so to who wants to change something.
func TestNoToken(t *testing.T) {
	st, _, changes := guarded(t, "data=:memory:")
	for _, token := range []string{"", "0123456789abcdef"} {
		got := st.ask("POST", api.Prefix+"/planted", `{"node":"x"}`, withHeader("Authorization", "Bearer "+token))
		if got.StatusCode != http.StatusForbidden || !strings.Contains(got.text, "admin.token_file") {
			t.Errorf("%q: %s %s", token, got.Status, got.text)
		}
	}
	if changes.Load() > 0 {
		t.Error("something was changed")
	}
	if got := st.ask("GET", api.PathStatus, ""); got.StatusCode != http.StatusOK {
		t.Errorf("a read: %s", got.Status)
	}
}

// TestTokenFileOfTheOperator is used as it is, and never made.
func TestTokenFileOfTheOperator(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func() {
		if err := os.WriteFile(file, []byte("chosen-by-the-operator"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write()
	st, _, changes := guarded(t, "data=:memory:", "admin.token_file="+file)
	shown := withHeader("Authorization", "Bearer chosen-by-the-operator")
	if got := st.ask("POST", api.Prefix+"/planted", `{"node":"x"}`, shown); got.StatusCode != http.StatusOK || changes.Load() != 1 {
		t.Errorf("with the file: %s", got.Status)
	}
	_ = os.Remove(file)
	if got := st.ask("POST", api.Prefix+"/planted", `{"node":"x"}`, shown); got.StatusCode != http.StatusForbidden || changes.Load() != 1 {
		t.Errorf("without it: %s", got.Status)
	}
	write()
	if got := st.ask("POST", api.Prefix+"/planted", `{"node":"x"}`, shown); got.StatusCode != http.StatusOK || changes.Load() != 2 {
		t.Errorf("with it again: %s", got.Status)
	}
}
