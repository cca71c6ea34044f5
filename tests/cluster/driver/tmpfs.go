package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mountTmpfs mounts a tmpfs with default options: mode 1777, owned by root,
// and no limit but half of the memory.
func mountTmpfs(target string) error {
	return unix.Mount("tmpfs", target, "tmpfs", 0, "")
}

func unmount(target string) error { return unix.Unmount(target, 0) }

// isMounted tells whether something is mounted on the target: it is then on
// another device than the folder above. A mount that cannot be read is taken
// away and counts as none.
func isMounted(target string) (bool, error) {
	var here, above unix.Stat_t
	if err := unix.Stat(target, &here); err != nil {
		return false, &fs.PathError{Op: "stat", Path: target, Err: err}
	}
	if err := unix.Stat(filepath.Dir(target), &above); err != nil {
		return false, err
	}
	if here.Dev == above.Dev {
		return false, nil
	}
	if _, err := os.ReadDir(target); err != nil {
		return false, unmount(target)
	}
	return true, nil
}

// cleanTarget unmounts the target if it is mounted, and removes it. A target
// that is gone is no error, so that unpublishing twice is none.
func cleanTarget(target string) error {
	mounted, err := isMounted(target)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if mounted {
		if err := unmount(target); err != nil {
			return err
		}
	}
	return os.Remove(target)
}
