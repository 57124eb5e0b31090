package assets

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"path"
	"strings"
)

//go:embed *.css *.js *.svg
var files embed.FS

// Prefix is the path below which the files are served.
const Prefix = "/api/manage/assets/"

type asset struct {
	body, hash, contentType string
}

var byName = read()

var contentTypes = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

func read() map[string]asset {
	all := map[string]asset{}
	names, err := fs.Glob(files, "*.*")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	for _, name := range names {
		body, err := files.ReadFile(name)
		if err != nil {
			panic(err) // the file is part of the program
		}
		sum := sha256.Sum256(body)
		all[name] = asset{string(body), hex.EncodeToString(sum[:8]), contentTypes[path.Ext(name)]}
	}
	return all
}

// URL returns the path of a file.
func URL(name string) string { return Prefix + byName[name].hash + "/" + name }

// Find returns a file by the rest of its path. fresh reports whether the hash is the file's own: a page
// of another version of the program, which serves at the same time during a roll-out, asks for
// another one and gets the current file, which it may not keep.
func Find(rest string) (body, contentType string, fresh, found bool) {
	hash, name, _ := strings.Cut(rest, "/")
	a, found := byName[name]
	return a.body, a.contentType, hash == a.hash, found
}

// Cache returns the Cache-Control of a file.
func Cache(fresh bool) string {
	if fresh {
		return "public, max-age=31536000, immutable"
	}
	return "no-cache"
}
