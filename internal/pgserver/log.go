package pgserver

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// serverLog is the file that PostgreSQL's programs write to.
type serverLog struct {
	file *os.File
	path string
	from int64 // where this run begins
}

// openLog appends, and moves a large file aside first. PostgreSQL gets it open, so it needs no right to the folder.
func openLog(path string) (*serverLog, error) {
	if info, err := os.Lstat(path); err == nil && info.Size() > logKeepBytes {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("move the old log aside: %w", err)
		}
	}
	// Root must not be led elsewhere by a link in a folder of somebody else.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL's log: %w", err)
	}
	l := &serverLog{file: f, path: path}
	if info, err := f.Stat(); err == nil {
		l.from = info.Size()
	}
	return l, nil
}

// tail is what this run wrote last, for the end of an error message; empty when it wrote nothing.
func (l *serverLog) tail() string {
	const most, lines = 4 << 10, 12
	f, err := os.Open(l.path)
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // opened for reading
	from := l.from
	if info, err := f.Stat(); err == nil {
		from = max(from, info.Size()-most)
	}
	b, _ := io.ReadAll(io.NewSectionReader(f, from, most))
	text := strings.Split(strings.TrimSpace(string(b)), "\n")
	last := strings.Join(text[max(0, len(text)-lines):], "\n")
	if last == "" {
		return ""
	}
	return "; the end of " + l.path + ":\n" + last
}
