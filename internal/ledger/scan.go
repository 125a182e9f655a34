package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	oneID  = regexp.MustCompile(`^S\d-\d\d$`)
	someID = regexp.MustCompile(`\bS\d-\d\d(\.\.\d\d)?\b`)
	item   = regexp.MustCompile(`^(?:(S\d)-)?(\d\d)(?:\.\.(\d\d))?$`)
)

// parseIDs reads a list of ids and ranges as issues write them: "S0-01, 03, 06..08; S4-05". A number alone is of the
// section before it.
func parseIDs(text string) ([]string, error) {
	var ids []string
	section := ""
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,;\t\n", r) }) {
		m := item.FindStringSubmatch(strings.TrimSuffix(word, "."))
		if len(m) == 0 || m[1]+section == "" {
			return nil, fmt.Errorf("%q is no id such as S3-10, nor a range such as S3-13..17", word)
		}
		section = cmp.Or(m[1], section)
		from, _ := strconv.Atoi(m[2]) // two digits
		to, _ := strconv.Atoi(cmp.Or(m[3], m[2]))
		if to < from {
			return nil, fmt.Errorf("%q ends before it begins", word)
		}
		for n := from; n <= to; n++ {
			ids = append(ids, fmt.Sprintf("%s-%02d", section, n))
		}
	}
	return ids, nil
}

// test is a test function or a subtest.
type test struct{ name, at string }

// scan reads all test files below root. Stray are comments with ids that belong to no test.
func scan(root string) (shown map[string][]test, stray []string, err error) {
	shown = map[string][]test{}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		lost, err := scanFile(root, path, shown)
		stray = append(stray, lost...)
		return err
	})
	return shown, stray, err
}

// part of a file that is a test: from its first line, doc comment excluded, to its last.
type part struct {
	name        string
	first, last int
}

func scanFile(root, path string, shown map[string][]test) (stray []string, err error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	short, err := filepath.Rel(root, path)
	if err != nil {
		return nil, err
	}
	parts := testsIn(files, file)
	for _, group := range file.Comments {
		for _, c := range group.List {
			line := files.Position(c.Pos()).Line
			for _, found := range someID.FindAllString(c.Text, -1) {
				ids, err := parseIDs(found)
				if err != nil {
					return nil, fmt.Errorf("%s:%d: %w", short, line, err)
				}
				p, ok := owner(parts, line, files.Position(group.End()).Line)
				if !ok {
					stray = append(stray, fmt.Sprintf("%s:%d: %s belongs to no test", short, line, found))
					continue
				}
				t := test{p.name, fmt.Sprintf("%s:%d", filepath.ToSlash(short), p.first)}
				for _, id := range ids {
					if !slices.Contains(shown[id], t) {
						shown[id] = append(shown[id], t)
					}
				}
			}
		}
	}
	return stray, nil
}

// testsIn are the tests of a file and their subtests with constant names, outer ones before inner ones.
func testsIn(files *token.FileSet, file *ast.File) []part {
	var parts []part
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv != nil || f.Body == nil || !isTest(f.Name.Name) {
			continue
		}
		parts = append(parts, part{f.Name.Name, files.Position(f.Pos()).Line, files.Position(f.End()).Line})
		parts = append(parts, subtests(files, f.Name.Name, f.Body)...)
	}
	return parts
}

func isTest(name string) bool {
	return name != "TestMain" && (strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz") || strings.HasPrefix(name, "Example"))
}

func subtests(files *token.FileSet, above string, in ast.Node) []part {
	var parts []part
	ast.Inspect(in, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 2 {
			return true
		}
		f, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || f.Sel.Name != "Run" {
			return true
		}
		text, ok := call.Args[0].(*ast.BasicLit)
		if !ok || text.Kind != token.STRING {
			return true
		}
		name, err := strconv.Unquote(text.Value)
		if err != nil {
			return true
		}
		name = above + "/" + strings.ReplaceAll(name, " ", "_")
		parts = append(parts, part{name, files.Position(call.Pos()).Line, files.Position(call.End()).Line})
		parts = append(parts, subtests(files, name, call.Args[1])...)
		return false
	})
	return parts
}

// owner of a comment: the test that begins on its line or right below its group, else the innermost one around it.
func owner(parts []part, line, last int) (part, bool) {
	for _, first := range []int{line, last + 1} {
		if i := slices.IndexFunc(parts, func(p part) bool { return p.first == first }); i >= 0 {
			return parts[i], true
		}
	}
	var around part
	for _, p := range parts {
		if p.first <= line && line <= p.last {
			around = p
		}
	}
	return around, around.name != ""
}
