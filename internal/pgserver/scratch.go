package pgserver

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	scratchPrefix = "kezi-test-"
	scratchRoom   = 1 << 30 // bytes free that a file system in memory must have
	// scratchAge is how long a folder is left alone in which nobody has taken the lock yet, or not any more.
	scratchAge = time.Minute
)

// Scratch makes an empty folder for an ephemeral server: in memory where the system has room there, which makes
// creating a database four times as fast, else among the temporary files. The hint is part of its name. Folders whose
// owner died are removed on the way.
func Scratch(hint string) (string, error) {
	var dir string
	var err error
	for _, base := range scratchBases() {
		sweep(base)
		name := strings.Trim(unlabelled.ReplaceAllString(hint, "-"), "-")
		if dir, err = os.MkdirTemp(base, scratchPrefix+name[:min(len(name), 30)]+"-*"); err == nil {
			break
		}
	}
	if err != nil {
		return "", fmt.Errorf("make a folder for a throw-away database: %w", err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chmod(dir, 0o755); err != nil { // the database's user must pass
			return "", fmt.Errorf("make a folder for a throw-away database: %w", err)
		}
	}
	return dir, nil
}

func scratchBases() []string {
	if memory := memoryFolder(); memory != "" {
		return []string{memory, os.TempDir()}
	}
	return []string{os.TempDir()}
}

// sweep removes our scratch folders that nobody holds. It is best effort: what fails now is tried again next time.
func sweep(base string) {
	dirs, _ := filepath.Glob(filepath.Join(base, scratchPrefix+"*"))
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < scratchAge {
			continue
		}
		if uid, _ := ownerOf(info); uid != os.Geteuid() {
			continue
		}
		lock, err := lockFolder(dir)
		if err != nil {
			continue
		}
		if who, err := accountFor(dir); err == nil {
			ctx := context.Background() //nolint:forbidigo // only tests come here, and evict has its own limits
			err = evict(ctx, slog.New(slog.DiscardHandler), who, filepath.Join(dir, dataName))
			if err == nil {
				removeServerFiles(dir)
			}
		}
		unlock(lock)
	}
}
