// Command ledger lists which tests show which asks of the requirements. A test says so by a comment on it or in it,
// such as "// S3-10" or "// S3-13..17, S0-04".
//
// Usage: ledger [ids ...], such as: ledger S0-01, 03, 06..08 S4-05..10. With ids it is about those alone, else about all.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// requirements is where the asks are written down, beside the repository. Not everybody who has the one has the other.
const requirements = "../shared/requirements.md"

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ledger:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	about, err := parseIDs(strings.Join(args, " "))
	if err != nil {
		return err
	}
	asks, err := readAsks(filepath.Join(root, requirements))
	if err != nil {
		return err
	}
	shown, stray, err := scan(root)
	if err != nil {
		return err
	}
	return report(out, about, asks, shown, stray)
}

func moduleRoot() (string, error) {
	at, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", errors.New("no go.mod here or above")
		}
	}
}

// readAsks are the lines of the requirements by id, from tables whose first cell is the id; none without the file.
func readAsks(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // an empty ledger is what there is
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it is only read
	asks := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		cells := strings.Split(lines.Text(), "|")
		if len(cells) < 3 {
			continue
		}
		if id := strings.TrimSpace(cells[1]); oneID.MatchString(id) {
			asks[id] = strings.TrimSpace(cells[2])
		}
	}
	return asks, lines.Err()
}

func report(out io.Writer, about []string, asks map[string]string, shown map[string][]test, stray []string) error {
	w := bufio.NewWriter(out)
	all := about
	if len(all) == 0 {
		every := maps.Clone(shown)
		for id := range asks {
			every[id] = shown[id]
		}
		all = slices.Sorted(maps.Keys(every))
	}
	var none []string
	for _, id := range all {
		if len(shown[id]) == 0 {
			none = append(none, id)
			continue
		}
		fmt.Fprintln(w, strings.TrimSpace(id+"  "+asks[id]))
		for _, t := range shown[id] {
			fmt.Fprintf(w, "       %s  %s\n", t.at, t.name)
		}
	}
	fmt.Fprintf(w, "\n%d of %d asks are shown by tests.\n", len(all)-len(none), len(all))
	if len(none) > 0 {
		fmt.Fprintln(w, "Without a test:")
		for _, id := range none {
			fmt.Fprintln(w, "  "+strings.TrimSpace(id+"  "+asks[id]))
		}
	}
	for id := range shown {
		if _, ok := asks[id]; !ok && asks != nil {
			stray = append(stray, fmt.Sprintf("%s: no ask has the id %s", shown[id][0].at, id))
		}
	}
	slices.Sort(stray)
	for _, s := range stray {
		fmt.Fprintln(w, s)
	}
	if asks == nil {
		fmt.Fprintln(w, requirements+" is not there: what the ids say, and which of all have no test, is not known here.")
	}
	return w.Flush()
}
