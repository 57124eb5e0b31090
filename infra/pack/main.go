package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Exit statuses.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

func run(args []string, stderr io.Writer) int {
	if len(args) < 3 {
		fmt.Fprintln(stderr, "usage: pack folder file.zip program [pattern...]")
		return exitUsage
	}
	if err := pack(args[0], args[1], args[2], args[3:]); err != nil {
		fmt.Fprintln(stderr, "pack:", err)
		return exitFailed
	}
	return 0
}

// pack writes the zip after checking every file.
func pack(folder, file, program string, patterns []string) error {
	names, err := list(folder, append([]string{program}, patterns...))
	if err != nil {
		return err
	}
	var content bytes.Buffer
	if err := write(&content, os.DirFS(folder), names, program); err != nil {
		return err
	}
	if err := os.WriteFile(file, content.Bytes(), 0o644); err != nil {
		_ = os.Remove(file) // an incomplete zip, if any
		return err
	}
	return nil
}

// list returns the sorted names of all files in the folder. It fails if a file matches no
// pattern, or a pattern no file.
func list(folder string, patterns []string) (names []string, err error) {
	missing := slices.Clone(patterns)
	err = fs.WalkDir(os.DirFS(folder), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", folder, err)
		case entry.IsDir():
			return nil
		}
		pattern, err := match(name, entry, patterns)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(folder, name), err)
		}
		names = append(names, name)
		missing = slices.DeleteFunc(missing, func(p string) bool { return p == pattern })
		return nil
	})
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("%s has no %s: let make stage it first", folder, strings.Join(missing, ", "))
	}
	slices.Sort(names)
	return names, err
}

// settings is the file that Core Tools keep beside host.json. It may hold secrets.
const settings = "local.settings.json"

// match returns the pattern that matches a file.
func match(name string, entry fs.DirEntry, patterns []string) (string, error) {
	switch {
	case strings.EqualFold(path.Base(name), settings):
		return "", errors.New("these are the settings of one person's machine, with secrets among them, and a zip is published: " +
			"delete the file, and put settings into the cloud's own configuration")
	case !entry.Type().IsRegular():
		return "", errors.New("this is no regular file, and the zip would not hold what it leads to: put the file itself there")
	}
	for _, pattern := range patterns {
		if ok, err := path.Match(pattern, name); ok || err != nil {
			return pattern, err
		}
	}
	return "", fmt.Errorf("only %s are packed: delete the file, or let make stage the folder again", strings.Join(patterns, ", "))
}

func write(w io.Writer, folder fs.FS, names []string, program string) error {
	archive := zip.NewWriter(w)
	for _, name := range names {
		mode := fs.FileMode(0o644)
		if name == program {
			mode = 0o755
		}
		content, err := fs.ReadFile(folder, name)
		if err != nil {
			return err
		}
		if err := add(archive, name, mode, content); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return archive.Close()
}

// epoch is the earliest date that a zip can store, 1980-01-01: year since 1980, month, day.
const epoch = 0<<9 | 1<<5 | 1

func add(archive *zip.Writer, name string, mode fs.FileMode, content []byte) error {
	header := &zip.FileHeader{Name: name, Method: zip.Deflate}
	//lint:ignore SA1019 Modified in its place would add an extra field.
	header.ModifiedDate = epoch
	header.SetMode(mode)
	entry, err := archive.CreateHeader(header)
	if err != nil {
		return err
	}
	_, err = entry.Write(content)
	return err
}
