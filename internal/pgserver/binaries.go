package pgserver

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// installed are the folders that packages put PostgreSQL's programs in when they keep them out of PATH: Debian,
// PGDG on Red Hat, Alpine, and Homebrew on both kinds of Mac.
var installed = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/usr/libexec/postgresql*",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
}

var lastNumber = regexp.MustCompile(`\d+`)

// findBinaries is the folder of postgres and initdb: the wanted one, else that of the version which wrote the data
// (an upgrade of the system must not lock it out while the old programs are there), else PATH's, else the newest.
// major is 0 when there is no data yet.
func findBinaries(wanted string, major int) (string, error) {
	if wanted != "" {
		abs, err := filepath.Abs(wanted)
		if err != nil {
			return "", fmt.Errorf("resolve %s: %w", wanted, err)
		}
		if !hasPrograms(abs) {
			return "", fmt.Errorf("%w: %s lacks postgres or initdb; to install it: %s", ErrNoBinaries, wanted, InstallHint())
		}
		return abs, nil
	}
	type candidate struct {
		dir   string
		major int
	}
	var found []candidate
	for _, pattern := range installed {
		dirs, _ := filepath.Glob(pattern) // the patterns are well-formed
		for _, dir := range dirs {
			if hasPrograms(dir) {
				n, _ := strconv.Atoi(lastNumber.FindString(dir))
				found = append(found, candidate{dir, n})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return b.major - a.major })
	for _, c := range found {
		if major != 0 && c.major == major {
			return c.dir, nil
		}
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil && hasPrograms(filepath.Dir(path)) {
			return filepath.Abs(filepath.Dir(path))
		}
	}
	if len(found) > 0 {
		return found[0].dir, nil
	}
	return "", fmt.Errorf("%w; to install it: %s", ErrNoBinaries, InstallHint())
}

func hasPrograms(dir string) bool {
	for _, name := range []string{"postgres", "initdb"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+\S*)`)

// binaryVersion is what postgres says it is, such as "15.14".
func binaryVersion(ctx context.Context, bin string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "--version")
	cmd.Env = environment()
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", cmd.Path, err)
	}
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("%s gives no version: %q", cmd.Path, out)
	}
	version := string(m[1])
	if majorOf(version) < oldestVersion {
		return "", fmt.Errorf("%w: %s is version %s, needed is %d or newer; to install it: %s",
			ErrNoBinaries, bin, version, oldestVersion, InstallHint())
	}
	return version, nil
}

// majorOf is the number that a version such as 15.14 or 18beta1 starts with.
func majorOf(version string) int {
	n, _ := strconv.Atoi(lastNumber.FindString(version))
	return n
}

// InstallHint is the command that installs PostgreSQL on this system.
func InstallHint() string {
	b, _ := os.ReadFile("/etc/os-release") // missing: not a Linux distribution
	return installHint(runtime.GOOS, string(b), os.Geteuid() == 0)
}

// pgdg adds PostgreSQL's own package source first, for releases whose newest package is too old.
const pgdg = "apt-get update && apt-get install -y postgresql-common && " +
	"/usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y && apt-get install -y postgresql-17"

func installHint(goos, osRelease string, root bool) string {
	if goos == "darwin" {
		return "brew install postgresql@17"
	}
	values := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(osRelease)); lines.Scan(); {
		if k, v, ok := strings.Cut(lines.Text(), "="); ok {
			values[k] = strings.Trim(v, `"'`)
		}
	}
	id, version := values["ID"], majorOf(values["VERSION_ID"])
	command := "install PostgreSQL 15 or newer with the package manager of this system"
	for _, name := range append([]string{id}, strings.Fields(values["ID_LIKE"])...) {
		switch name {
		case "debian", "ubuntu":
			command = "apt-get update && apt-get install -y postgresql"
			if id == "debian" && version > 0 && version < 12 || id == "ubuntu" && version > 0 && version < 24 {
				command = pgdg
			}
		case "fedora", "rhel", "centos":
			command = "dnf install -y postgresql-server postgresql-contrib"
		case "alpine":
			command = "apk add postgresql postgresql-contrib"
		case "arch":
			command = "pacman -S --noconfirm postgresql"
		case "suse", "opensuse":
			command = "zypper install -y postgresql-server postgresql-contrib"
		default:
			continue
		}
		if !root {
			command = "sudo " + command
			if strings.Contains(command, "&&") {
				command = "sudo sh -c '" + strings.TrimPrefix(command, "sudo ") + "'"
			}
		}
		return command
	}
	return command
}
