package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// The files in the data folder.
const (
	databaseFile   = "fhirlink.db"         // links, and the sealed secrets
	keyFile        = "secret.key"          // the key that seals the secrets
	signingKeyFile = "signing.key"         // the key that signs the tokens of SMART apps
	sinkFile       = "notifications.jsonl" // what the sandbox received
)

// lockWait is how long a start waits for another process to release the folder: long enough for
// one that is just being stopped.
const lockWait = 2 * time.Second

// openData makes the folder, readable by its owner only, and locks its database.
func openData(folder string) (*bbolt.DB, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("-data: the folder %s cannot be made: %w", folder, err)
	}
	file := filepath.Join(folder, databaseFile)
	errDamaged := fmt.Errorf("%s is not a database of this program, or is damaged. Name another folder with -data, or remove this one to start with an empty one", file)
	whole, err := isWhole(file, filepath.Join(folder, keyFile))
	if err != nil {
		return nil, fmt.Errorf("-data: %s cannot be read: %w", file, err)
	}
	if !whole {
		return nil, errDamaged
	}
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{Timeout: lockWait})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("another process uses the data folder %s. Stop it, or name another folder with -data", folder)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, errDamaged
	case err != nil:
		return nil, fmt.Errorf("-data: %s cannot be opened: %w", file, err)
	}
	return db, nil
}

// isWhole reports whether file has all the pages that its meta pages count. bbolt maps the file
// into memory and would end with SIGBUS where a truncated one lacks a page. A file that does not
// exist is whole, and so is an empty one, unless there is a key: then it had contents. bbolt itself
// finds whatever else is wrong.
func isWhole(file, key string) (bool, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // only read from
	needed := max(countedBytes(f, 0), countedBytes(f, int64(os.Getpagesize())))
	info, err := f.Stat() // after the meta pages: another process may make the file longer, never shorter
	if err != nil {
		return false, err
	}
	if _, err := os.Stat(key); info.Size() == 0 && err == nil {
		return false, nil
	}
	return needed <= info.Size(), nil
}

// countedBytes returns the size of the file by the meta page at this offset, in bytes; 0 if the
// page is not valid. It is a page header of 16 bytes, and then bbolt's internal/common.Meta.
func countedBytes(f io.ReaderAt, offset int64) int64 {
	var page struct {
		Header                          [16]byte
		Magic, Version, PageSize, Flags uint32
		Root                            [2]uint64
		FreeList, Pages, Transaction    uint64
		Checksum                        uint64
	}
	raw := make([]byte, binary.Size(page))
	if _, err := f.ReadAt(raw, offset); err != nil {
		return 0
	}
	if _, err := binary.Decode(raw, binary.NativeEndian, &page); err != nil {
		return 0
	}
	sum := fnv.New64a()
	_, _ = sum.Write(raw[len(page.Header) : len(raw)-8]) // never fails
	if page.Magic != 0xED0CDAED || page.Checksum != sum.Sum64() {
		return 0
	}
	return int64(min(page.Pages, 1<<40)) * int64(page.PageSize)
}
