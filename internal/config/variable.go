package config

import "strings"

// expand puts in environment variables: ${NAME} is the variable NAME and $$ is $; any other $ stands for itself. It
// works on one value after the file was parsed, so a variable can never make a key. used is false if text has no
// variable.
func expand(text string, env func(string) (string, bool)) (out string, used bool, bad *problem) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		b.WriteString(before)
		switch {
		case !found:
			return b.String(), used, nil
		case strings.HasPrefix(rest, "$"):
			b.WriteByte('$')
			text = rest[1:]
			continue
		case !strings.HasPrefix(rest, "{"):
			b.WriteByte('$')
			text = rest
			continue
		}
		name, after, closed := strings.Cut(rest[1:], "}")
		if !closed || !variableName(name) {
			return "", used, &problem{codeVariable, "has a ${ that names no variable", "${NAME}; $$ is a $"}
		}
		value, set := env(name)
		if !set {
			return "", true, &problem{codeVariable, "names the environment variable " + name + ", which is not set", "export " + name + "=..."}
		}
		b.WriteString(value)
		used, text = true, after
	}
}

func variableName(name string) bool {
	for i, r := range name {
		letter := r == '_' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}
