package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPaths(t *testing.T) {
	long := strings.Repeat("n", maxName)
	for path, wanted := range map[string]string{
		"a":                            "",
		"a/b/c":                        "",
		".env":                         "",
		"a/..b":                        "",
		"a..":                          "",
		".":                            "", // fails only when it is written
		long:                           "",
		"":                             "must not be empty",
		"/a":                           "must be relative path",
		"..":                           "must not contain '..'",
		"a/../b":                       "must not contain '..'",
		"..a":                          "must not start with '..'",
		"..data":                       "must not start with '..'",
		"a//b":                         "invalid filepath",
		"./a":                          "invalid filepath",
		"a/":                           "invalid filepath",
		long + "n":                     "filenames must be less than or equal to 255 characters",
		strings.Repeat("a", maxPath+1): "must be less than or equal to 4096 characters",
	} {
		err := checkPath(path)
		if (err == nil) != (wanted == "") || err != nil && !strings.Contains(err.Error(), wanted) {
			t.Errorf("%.20q: %v, wanted %q", path, err, wanted)
		}
	}
}

func text(path, contents string) file {
	return file{path: path, mode: 0o644, contents: []byte(contents)}
}

func write(t *testing.T, volume string, files ...file) {
	t.Helper()
	if err := writeVolume(volume, files); err != nil {
		t.Fatal(err)
	}
}

// contents reads a volume as a pod does, through the visible links.
func contents(t *testing.T, volume string) map[string]string {
	t.Helper()
	found, err := volumeFiles(volume)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for path, real := range found {
		data, err := os.ReadFile(real)
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = string(data)
	}
	return texts
}

// hidden lists the names that begin with two dots.
func hidden(t *testing.T, volume string) []string {
	t.Helper()
	entries, err := os.ReadDir(volume)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "..") {
			names = append(names, entry.Name())
		}
	}
	return names
}

func TestLayoutOfAVolume(t *testing.T) {
	volume := t.TempDir()
	write(t, volume, text("a", "1"), text("d/e/f", "2"), file{path: "locked", mode: 0, contents: []byte("3")},
		file{path: "open", mode: 0o666, contents: []byte("4")}) // more than the umask lets through
	if got := contents(t, volume); !maps.Equal(got, map[string]string{"a": "1", "d/e/f": "2", "locked": "3", "open": "4"}) {
		t.Errorf("%v", got)
	}
	for link, target := range map[string]string{"a": "..data/a", "d": "..data/d"} {
		if got, err := os.Readlink(filepath.Join(volume, link)); err != nil || got != target {
			t.Errorf("%s leads to %s, %v", link, got, err)
		}
	}
	names := hidden(t, volume)
	data, err := os.Readlink(filepath.Join(volume, "..data"))
	if err != nil || len(names) != 2 || !slices.Contains(names, data) {
		t.Errorf("%v, ..data leads to %q, %v", names, data, err)
	}
	for path, mode := range map[string]fs.FileMode{data: 0o755, "..data/a": 0o644, "..data/locked": 0, "..data/open": 0o666} {
		info, err := os.Stat(filepath.Join(volume, path))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
}

func TestEqualContentIsNotWrittenAgain(t *testing.T) {
	volume := t.TempDir()
	write(t, volume, text("a", "1"), text("d/e", "2"))
	before := hidden(t, volume)
	// A mode alone is no reason to write either.
	write(t, volume, file{path: "a", mode: 0o600, contents: []byte("1")}, text("d/e", "2"))
	if after := hidden(t, volume); !slices.Equal(before, after) {
		t.Errorf("%v became %v", before, after)
	}
	write(t, volume, file{path: "a", mode: 0o600, contents: []byte("9")}, text("d/e", "2"))
	info, err := os.Stat(filepath.Join(volume, "a"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode comes with the next changed byte: %v %v", info.Mode(), err)
	}
	if after := hidden(t, volume); slices.Equal(before, after) || len(after) != 2 {
		t.Errorf("one new folder in place of the old one: %v became %v", before, after)
	}
}

func TestVanishedFilesAreRemoved(t *testing.T) {
	volume := t.TempDir()
	write(t, volume, text("a", "1"), text("b", "2"), text("d/e", "3"), text("d/f", "4"))
	write(t, volume, text("b", "2"), text("d/f", "4"))
	if got := contents(t, volume); !maps.Equal(got, map[string]string{"b": "2", "d/f": "4"}) {
		t.Errorf("%v", got)
	}
	if _, err := os.Lstat(filepath.Join(volume, "a")); !os.IsNotExist(err) {
		t.Errorf("the link is gone, too: %v", err)
	}
}

func TestOneBadPathWritesNothing(t *testing.T) {
	volume := t.TempDir()
	if err := writeVolume(volume, []file{text("a", "1"), text("../b", "2")}); err == nil {
		t.Error("accepted")
	}
	if entries, _ := os.ReadDir(volume); len(entries) != 0 {
		t.Errorf("%v", entries)
	}
}

func TestOfTwoFilesWithOnePathTheLaterWins(t *testing.T) {
	volume := t.TempDir()
	write(t, volume, text("a", "1"), text("a", "2"))
	if got := contents(t, volume)["a"]; got != "2" {
		t.Error(got)
	}
}

func TestAFileBelowAFileFails(t *testing.T) {
	if err := writeVolume(t.TempDir(), []file{text("a", "1"), text("a/b", "2")}); err == nil {
		t.Error("accepted")
	}
}

func TestAFolderThatBecomesAFileFailsUntilUnmount(t *testing.T) {
	volume := t.TempDir()
	write(t, volume, text("a/b", "1"))
	if err := writeVolume(volume, []file{text("a", "1")}); err == nil {
		t.Error("accepted")
	}
	if got := contents(t, volume)["a/b"]; got != "1" {
		t.Errorf("the old file stays: %q", got)
	}
}

func TestWhatTheProviderWroteItselfGivesWay(t *testing.T) {
	volume := t.TempDir()
	if err := os.WriteFile(filepath.Join(volume, "a"), []byte("own"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, volume, text("a", "1"))
	if got := contents(t, volume)["a"]; got != "1" {
		t.Error(got)
	}
}
