package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Limits of Linux on paths, which the driver checks before it writes.
const (
	maxPath = 4096
	maxName = 255
)

// dataLink leads to the folder with the current files. Renaming it is what
// makes an update atomic.
const (
	dataLink    = "..data"
	newDataLink = "..data_tmp"
)

// checkPath refuses a path that a volume cannot have: it must be relative and
// clean, without a ".." element, and must not start with "..". A lone "." and
// a file below another file pass here and fail when they are written.
func checkPath(path string) error {
	switch {
	case path == "":
		return fmt.Errorf("invalid path: must not be empty: %q", path)
	case filepath.IsAbs(path):
		return fmt.Errorf("invalid path: must be relative path: %s", path)
	case len(path) > maxPath:
		return fmt.Errorf("invalid path: must be less than or equal to %d characters", maxPath)
	}
	elements := strings.Split(path, "/")
	for _, element := range elements {
		if element == ".." {
			return fmt.Errorf("invalid path: must not contain '..': %s", path)
		}
		if len(element) > maxName {
			return fmt.Errorf("invalid path: filenames must be less than or equal to %d characters", maxName)
		}
	}
	if strings.HasPrefix(elements[0], "..") {
		return fmt.Errorf("invalid path: must not start with '..': %s", path)
	}
	if filepath.Clean(path) != path {
		return fmt.Errorf("invalid filepath: %q", path)
	}
	return nil
}

// writeVolume makes the files the whole content of the volume: one broken path
// and nothing is written; equal bytes and no file gone, and nothing is touched
// either, so that a changed mode alone waits for the next changed byte.
func writeVolume(volume string, files []file) error {
	content := make(map[string]file, len(files))
	for _, f := range files {
		if err := checkPath(f.path); err != nil {
			return err
		}
		content[f.path] = f // of two files with one path the later wins
	}
	if err := removeForeign(volume, content); err != nil {
		return fmt.Errorf("cleanup failure: %w", err)
	}
	old, err := os.Readlink(filepath.Join(volume, dataLink))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var gone []string
	if old != "" {
		var same bool
		if gone, same, err = compare(filepath.Join(volume, old), content); err != nil || same {
			return err
		}
	}
	return replace(volume, old, content, gone)
}

// removeForeign removes what a provider wrote into the volume by itself: a
// top-level name that is not a link would keep its old content for ever.
func removeForeign(volume string, content map[string]file) error {
	for path := range content {
		top := filepath.Join(volume, topLevel(path))
		info, err := os.Lstat(top)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink != 0 {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.RemoveAll(top); err != nil {
			return err
		}
	}
	return nil
}

// compare tells which paths of the last write are no longer wanted, and
// whether the volume is already as wanted. A wanted file that was a folder in
// the last write cannot be read, and fails the update.
func compare(old string, content map[string]file) (gone []string, same bool, err error) {
	if gone, err = vanished(old, content); err != nil {
		return nil, false, err
	}
	for path, f := range content {
		was, err := os.ReadFile(filepath.Join(old, path))
		if errors.Is(err, fs.ErrNotExist) {
			return gone, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		if !bytes.Equal(was, f.contents) {
			return gone, false, nil
		}
	}
	return gone, len(gone) == 0, nil
}

// vanished lists the paths below old, folders too, that the content lacks.
func vanished(old string, content map[string]file) ([]string, error) {
	wanted := map[string]bool{".": true}
	for path := range content {
		for ; path != "."; path = filepath.Dir(path) {
			wanted[path] = true
		}
	}
	var gone []string
	err := filepath.WalkDir(old, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(old, path)
		if err == nil && !wanted[relative] {
			gone = append(gone, relative)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return gone, err
}

// replace writes the content into a new folder with the time in its name,
// links it in, and swaps ..data in one step. Readers see the old set or the
// new one. A write that fails leaves the new folder behind until unmount.
func replace(volume, old string, content map[string]file, gone []string) error {
	fresh, err := os.MkdirTemp(volume, time.Now().UTC().Format("..2006_01_02_15_04_05."))
	if err != nil {
		return err
	}
	if err := os.Chmod(fresh, 0o755); err != nil {
		return err
	}
	for _, f := range content {
		if err := writeFile(filepath.Join(fresh, f.path), f); err != nil {
			return err
		}
	}
	for path := range content {
		if err := linkTop(volume, topLevel(path)); err != nil {
			return err
		}
	}
	if err := swap(volume, filepath.Base(fresh)); err != nil {
		_ = os.RemoveAll(fresh)
		return err
	}
	for _, path := range gone {
		if strings.Contains(path, "/") {
			continue // only top-level names have links of their own
		}
		if removal := os.Remove(filepath.Join(volume, path)); removal != nil {
			err = removal
		}
	}
	if err != nil || old == "" {
		return err
	}
	return os.RemoveAll(filepath.Join(volume, old))
}

// writeFile writes one file. Its mode is set exactly, whatever the umask: a
// mode of 0 makes a file that only root can read.
func writeFile(path string, f file) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	mode := fs.FileMode(f.mode)
	if err := os.WriteFile(path, f.contents, mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// linkTop makes the visible link of a top-level name, unless it is there.
func linkTop(volume, name string) error {
	link := filepath.Join(volume, name)
	if _, err := os.Readlink(link); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return os.Symlink(filepath.Join(dataLink, name), link)
}

// swap points ..data to another folder in one step.
func swap(volume, folder string) error {
	fresh := filepath.Join(volume, newDataLink)
	if err := os.Symlink(folder, fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, filepath.Join(volume, dataLink)); err != nil {
		_ = os.Remove(fresh)
		return err
	}
	return nil
}

// volumeFiles lists the visible files of a volume: relative path to real path.
// What is synced to Secrets is read back from here, not from the response.
func volumeFiles(volume string) (map[string]string, error) {
	entries, err := os.ReadDir(volume)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "..") {
			continue
		}
		root, err := filepath.EvalSymlinks(filepath.Join(volume, entry.Name()))
		if err != nil {
			return nil, err
		}
		err = filepath.WalkDir(root, func(path string, entryBelow fs.DirEntry, err error) error {
			if err != nil || entryBelow.IsDir() {
				return err
			}
			relative, err := filepath.Rel(root, path)
			found[filepath.Join(entry.Name(), relative)] = path
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

func topLevel(path string) string {
	top, _, _ := strings.Cut(path, "/")
	return top
}
