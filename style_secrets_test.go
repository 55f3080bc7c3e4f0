package patchbay_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"testing"
)

// secretName is how variables with secrets and digests of them are called.
var secretName = regexp.MustCompile(`(?i)^(secret|digest|sum|want|proof|token|password)s?$`)

// secretPackages are those that compare what a peer sent with what only we should know.
var secretPackages = regexp.MustCompile(`^(component|internal/stream|internal/server|internal/admin)/`)

// leaksTime finds comparisons of secrets that take longer the more of them is right (Prosody CVE-2021-32921): only
// subtle.ConstantTimeCompare may compare them.
func leaksTime(s *source) (found []finding) {
	if s.test || !secretPackages.MatchString(s.path) {
		return nil
	}
	each(s.file, func(b *ast.BinaryExpr) {
		if (b.Op == token.EQL || b.Op == token.NEQ) && (secret(b.X) || secret(b.Y)) && !constant(b.X) && !constant(b.Y) {
			found = append(found, finding{line: s.line(b.Pos()), says: "a secret is compared with " + b.Op.String() + "; use subtle.ConstantTimeCompare"})
		}
	})
	s.calls(regexp.MustCompile(`^(bytes|strings)\.(Equal|EqualFold|Compare|HasPrefix|Contains)$`), func(_, call string, c *ast.CallExpr) {
		for _, arg := range c.Args {
			if secret(arg) {
				found = append(found, finding{line: s.line(c.Pos()), says: "a secret is compared with " + call + "; use subtle.ConstantTimeCompare"})
			}
		}
	})
	return found
}

// secret reports an expression that is, or is made of, a variable with the name of a secret.
func secret(e ast.Expr) bool {
	found := false
	each(e, func(id *ast.Ident) { found = found || secretName.MatchString(id.Name) })
	return found
}

// constant reports a literal or nil: whether there is a secret at all may be asked.
func constant(e ast.Expr) bool {
	switch x := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return x.Name == "nil"
	}
	return false
}

// The lesson S10: secrets are compared in constant time, everywhere.
func TestSecretsTakeConstantTime(t *testing.T) {
	seen := 0
	for _, s := range tree(t) {
		for _, f := range leaksTime(s) {
			t.Errorf("%s:%d: %s", s.path, f.line, f.says)
		}
		if !s.test && secretPackages.MatchString(s.path) {
			s.calls(regexp.MustCompile(`^subtle\.ConstantTimeCompare$`), func(string, string, *ast.CallExpr) { seen++ })
		}
	}
	if seen == 0 {
		t.Error("nothing compares a secret in constant time: has the handshake moved?")
	}
	planted, err := parse("component/planted.go", "package component\nimport \"bytes\"\n"+
		"func f(digest, x []byte) bool { return bytes.Equal(digest, x) || string(digest) == string(x) || len(digest) == 0 }")
	if err != nil {
		t.Fatal(err)
	}
	if found := leaksTime(planted); len(found) != 2 {
		t.Errorf("of two planted breaches: %v", found)
	}
}
