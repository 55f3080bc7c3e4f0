package conformance

import (
	"embed"
	"strings"
)

//go:embed recipes/*.txt
var recipeFiles embed.FS

// Recipes lists the products that have a recipe, in the order of the alphabet.
func Recipes() (names []string) {
	files, err := recipeFiles.ReadDir("recipes")
	if err != nil {
		return nil // the folder is part of the program
	}
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".txt"))
	}
	return names
}

// Recipe is what to paste into the configuration of a product so that it can be judged, and the command that then judges
// it. It reports whether there is one of that name.
func Recipe(name string) (text string, ok bool) {
	raw, err := recipeFiles.ReadFile("recipes/" + name + ".txt")
	return string(raw), err == nil
}
