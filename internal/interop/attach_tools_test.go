package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// unpacked is where .ci/run puts libraries that it does not install.
var unpacked = filepath.Join("..", "..", ".ci", "tools", "libraries")

// below gives the folders of unpacked that patterns match, with full paths. There are none where the libraries are installed.
func below(t *testing.T, patterns ...string) (all []string) {
	t.Helper()
	root, err := filepath.Abs(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.Join(root, p))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// searched gives the environment in which interpreters and programs find what is unpacked.
func searched(t *testing.T) []string {
	t.Helper()
	env := os.Environ()
	for name, patterns := range map[string][]string{
		"LD_LIBRARY_PATH": {"usr/lib/*-linux-gnu", "lib/*-linux-gnu"},
		"PERL5LIB":        {"usr/share/perl5", "usr/lib/*/perl5/*"},
		"RUBYLIB": {"usr/lib/ruby/[0-9]*", "usr/lib/*/ruby/[0-9]*", "usr/lib/ruby/vendor_ruby",
			"usr/share/rubygems-integration/all/gems/*/lib", "usr/lib/ruby/gems/*/gems/rexml-*/lib"},
	} {
		found := below(t, patterns...)
		if len(found) == 0 {
			continue
		}
		if was := os.Getenv(name); was != "" {
			found = append(found, was)
		}
		env = append(env, name+"="+strings.Join(found, ":"))
	}
	return env
}

// needs ends a test on a machine without a library: a command that fails without it tells.
func needs(t *testing.T, library string, probe *exec.Cmd) {
	t.Helper()
	probe.Env = append(searched(t), "GOPROXY=off")
	if out, err := probe.CombinedOutput(); err != nil {
		missing(t, "needs %s: run .ci/run tools, or install it (%v): %.300s", library, err, out)
	}
}

// interpreted runs a script of testdata that needs a library.
func interpreted(name, library, script string, probe ...string) func(t *testing.T) *exec.Cmd {
	return func(t *testing.T) *exec.Cmd {
		program := name
		if found := below(t, filepath.Join("usr", "bin", name)); len(found) > 0 {
			program = found[0]
		}
		needs(t, library, exec.Command(program, probe...))
		return exec.Command(program, filepath.Join("testdata", script))
	}
}

// compiled runs a program of testdata that is made by a compiler of C or C++.
func compiled(compiler, library, header, source string) func(t *testing.T) *exec.Cmd {
	return func(t *testing.T) *exec.Cmd {
		var include, link []string
		for _, dir := range below(t, "usr/include", "usr/include/*-linux-gnu") {
			include = append(include, "-I"+dir)
		}
		for _, dir := range below(t, "usr/lib/*-linux-gnu", "lib/*-linux-gnu") {
			link = append(link, "-L"+dir, "-Wl,-rpath-link,"+dir)
		}
		path, from := filepath.Join(t.TempDir(), library), filepath.Join("testdata", source)
		needs(t, library, exec.Command(compiler, append(include, "-E", "-o", os.DevNull, "-include", header, from)...))
		words := append(append(include, "-Wall", "-o", path, from), append(link, "-l"+library)...)
		if out, err := exec.Command(compiler, words...).CombinedOutput(); err != nil {
			t.Fatalf("compile %s: %v\n%s", source, err, out)
		}
		return exec.Command(path)
	}
}

// ownModule runs a program of testdata that is a Go module of its own, which needs another.
func ownModule(library, folder string) func(t *testing.T) *exec.Cmd {
	return func(t *testing.T) *exec.Cmd {
		path, dir := filepath.Join(t.TempDir(), folder), filepath.Join("testdata", folder)
		needs(t, library, exec.Command("go", "list", "-C", dir, "-deps", "."))
		if out, err := exec.Command("go", "build", "-C", dir, "-buildvcs=false", "-o", path, ".").CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", folder, err, out)
		}
		return exec.Command(path)
	}
}

// ownPackage runs a program of testdata that is of this module.
func ownPackage(folder string) func(t *testing.T) *exec.Cmd {
	return func(t *testing.T) *exec.Cmd {
		path, err := compile(folder, "internal/interop/testdata/"+folder)
		if err != nil {
			t.Fatal(err)
		}
		return exec.Command(path)
	}
}

func pythonNode(t *testing.T) *exec.Cmd {
	needsPython(t)
	slixmpp(t)
	return exec.Command(python, filepath.Join("testdata", "attach_slixmpp.py"))
}

func nodejsNode(t *testing.T) *exec.Cmd {
	return exec.Command(nodejs(t), filepath.Join("testdata", "attach_xmppjs.js"))
}

// startAttacher starts the program of a library as the node lib.im.example.
func startAttacher(t *testing.T, cmd *exec.Cmd, addr, secret string, answers bool) *process {
	t.Helper()
	cmd.Args = append(cmd.Args, addr, "lib.im.example", secret)
	if answers {
		cmd.Args = append(cmd.Args, "answers")
	}
	cmd.Env = searched(t)
	return start(t, cmd)
}
