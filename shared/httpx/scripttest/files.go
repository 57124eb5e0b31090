package scripttest

import (
	"fmt"
	"io/fs"
	"path"
)

// ReadFiles reads the scripts that match pattern, sorted by name.
func ReadFiles(files fs.FS, pattern string) ([]Script, error) {
	names, err := fs.Glob(files, pattern)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no script %s", pattern)
	}
	scripts := make([]Script, len(names))
	for i, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		if scripts[i], err = Parse(path.Base(name), string(text)); err != nil {
			return nil, err
		}
	}
	return scripts, nil
}
